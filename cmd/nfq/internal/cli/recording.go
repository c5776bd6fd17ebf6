// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
)

// recording is a file that packets are recorded in, or several one after the other. If the disk
// gets full, the file ends with the last packet that is complete.
type recording struct {
	name     string
	rotation rotation
	begin    func() *pcapng.Writer // to pending

	packets *pcapng.Writer
	pending bytes.Buffer
	header  int   // offset in pending where the header ends, 0 if it is written
	ends    []int // offsets in pending where packets end
	file    *os.File
	count   uint32    // of the files so far, with a limit of size in this period
	began   time.Time // the period
	written int64
	err     error // of the file

	recorded atomic.Uint64 // packets that are in the files; any goroutine may read it
}

// record makes a file, or takes the standard output if the name is "-". Snap and the comment are
// those of pcapng.NewWriter.
func record(name string, rotation rotation, snap uint32, comment string) (*recording, error) {
	r := &recording{name: name, rotation: rotation, began: time.Now()}
	r.begin = func() *pcapng.Writer { return pcapng.NewWriter(&r.pending, snap, "nfq "+version(), comment) }
	if name != "-" {
		return r, r.open()
	}
	if terminal.Is(os.Stdout) {
		return nil, errors.New(
			"-w - writes bytes that a terminal does not understand; send the standard output to a file or a program",
		)
	}
	r.file, r.packets = os.Stdout, r.begin()
	return r, nil
}

// open begins the next file.
func (r *recording) open() (err error) {
	r.written = 0
	r.file, err = os.Create(r.rotation.name(r.name, r.count, r.began))
	if err != nil {
		r.file = nil
		return err
	}
	r.count++
	r.packets = r.begin()
	err = r.packets.Flush()
	r.header = r.pending.Len()
	return err
}

// rotate goes on in the next file if that is due.
func (r *recording) rotate() error {
	now := time.Now()
	over := r.rotation.over(r.began, now)
	if !over && !r.rotation.full(r.written+int64(r.pending.Len())) {
		return nil
	}
	if r.rotation.last(r.count) {
		r.err = errLastFile
		return r.err
	}
	if err := errors.Join(r.Flush(), r.file.Close()); err != nil {
		return err
	}
	if over {
		r.began = now
		if r.rotation.megabytes != 0 {
			r.count = 0
		}
	}
	r.err = r.open()
	return r.err
}

// Write records a packet. It is in the file after Flush at the latest.
func (r *recording) Write(p *packetview.Record) error {
	const enough = 1 << 16
	if r.err != nil {
		return r.err
	}
	if err := r.rotate(); err != nil {
		return err
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
	if r.err != nil && !errors.Is(r.err, errLastFile) {
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
	r.recorded.Add(uint64(len(r.ends)))
	r.pending.Reset()
	r.header, r.ends = 0, r.ends[:0]
	return nil
}

// cut shortens a file to its last complete packet when n bytes of pending were written before an
// error, which it returns. What is not a regular file stays as it is.
func (r *recording) cut(n int, err error) error {
	keep := 0
	if r.header <= n {
		keep = r.header
	}
	for _, end := range r.ends {
		if end <= n {
			keep = end
			r.recorded.Add(1)
		}
	}
	info, statErr := r.file.Stat()
	if statErr != nil || !info.Mode().IsRegular() {
		return err
	}
	// The standard output may have been appended to a file.
	end, cutErr := r.file.Seek(0, io.SeekCurrent)
	if cutErr == nil {
		cutErr = r.file.Truncate(end - int64(n-keep))
	}
	if cutErr != nil {
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
