// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"os"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng"
)

// recording is a file that packets are recorded in.
type recording struct {
	*pcapng.Writer
	file *os.File
}

// record makes a file, or takes the standard output if the name is "-". Snap and the comment are those of
// pcapng.NewWriter.
func record(name string, snap uint32, comment string) (*recording, error) {
	file, err := os.Stdout, error(nil)
	if name != "-" {
		if file, err = os.Create(name); err != nil {
			return nil, err
		}
	} else if terminal(file) {
		return nil, errors.New("-w - writes bytes that a terminal does not understand; send the standard output to a file or a program")
	}
	return &recording{pcapng.NewWriter(file, snap, "nfq "+version(), comment), file}, nil
}

// Close finishes the file, once. There may be none.
func (r *recording) Close() error {
	if r == nil || r.file == nil {
		return nil
	}
	err := errors.Join(r.Flush(), r.file.Close())
	r.file = nil
	return err
}
