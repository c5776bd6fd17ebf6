// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
)

// recording is a file that packets are recorded in. If the disk gets full, the file ends with the last
// packet that is complete.
type recording struct {
	packets *pcapng.Writer // writes to pending
	pending bytes.Buffer
	ends    []int // offsets in pending where packets end
	file    *os.File
	written int64
	err     error // of the file
}

// record makes a file, or takes the standard output if the name is "-". Snap and the comment are those of
// pcapng.NewWriter.
func record(name string, snap uint32, comment string) (*recording, error) {
	file, err := os.Stdout, error(nil)
	if name != "-" {
		if file, err = os.Create(name); err != nil {
			return nil, err
		}
	} else if terminal.Is(file) {
		return nil, errors.New("-w - writes bytes that a terminal does not understand; send the standard output to a file or a program")
	}
	r := &recording{file: file}
	r.packets = pcapng.NewWriter(&r.pending, snap, "nfq "+version(), comment)
	return r, nil
}

// Write records a packet. It is in the file after Flush at the latest.
func (r *recording) Write(p *packetview.Record) error {
	const enough = 1 << 16
	if r.err != nil {
		return r.err
	}
	if err := errors.Join(r.packets.Write(p), r.packets.Flush()); err != nil {
		return err
	}
	r.ends = append(r.ends, r.pending.Len())
	if r.pending.Len() < enough {
		return nil
	}
	return r.Flush()
}

// Flush hands everything to the operating system. A file without a packet gets its header.
func (r *recording) Flush() error {
	if r.err != nil {
		return r.err
	}
	if err := r.packets.Flush(); err != nil {
		return err
	}
	if r.pending.Len() == 0 {
		return nil
	}
	n, err := r.file.Write(r.pending.Bytes())
	if err != nil {
		r.err = r.cut(n, err)
		return r.err
	}
	r.written += int64(n)
	r.pending.Reset()
	r.ends = r.ends[:0]
	return nil
}

// cut shortens a file to its last complete packet when n bytes of pending were written before an error,
// which it returns. What is not a regular file stays as it is.
func (r *recording) cut(n int, err error) error {
	keep := 0
	for _, end := range r.ends {
		if end <= n {
			keep = end
		}
	}
	info, statErr := r.file.Stat()
	if statErr != nil || !info.Mode().IsRegular() {
		return err
	}
	if cutErr := r.file.Truncate(r.written + int64(keep)); cutErr != nil {
		return fmt.Errorf("%w; the file ends amid a packet: %w", err, cutErr)
	}
	return err
}

// Close finishes the file, once. There may be none.
func (r *recording) Close() error {
	if r == nil || r.file == nil {
		return nil
	}
	err := r.Flush()
	err = errors.Join(err, r.file.Close())
	r.file = nil
	return err
}
