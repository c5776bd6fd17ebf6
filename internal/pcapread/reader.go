// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapread reads capture files, pcap and pcapng, and finds the packets in their frames
// the way the kernel would hand them to a hook. It runs on every system.
//
// It reads files itself because package pcapgo allocates what a file claims a record to have, and
// gives up on records, timestamps and versions that tcpdump and Wireshark read.
package pcapread

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Frame is one record of a capture file.
type Frame struct {
	// Number counts the records of the file, from 1.
	Number int
	// Time is when the frame was captured, zero if the file does not say.
	Time time.Time
	// Interface is the name of the interface on which it was captured, empty if the file
	// does not say.
	Interface string
	LinkType  LinkType
	// Data is what was captured of the frame. It belongs to the caller of Next.
	Data []byte
	// Len is the length of the frame on the wire, at least that of Data.
	Len int
}

// maxRecord is the most bytes that a record can have, as for tcpdump (MAXIMUM_SNAPLEN of libpcap).
const maxRecord = 262144

// Reader reads the frames of a file. It is not safe for concurrent use, and holds one frame in
// memory at most.
type Reader struct {
	file   *bufio.Reader
	format interface {
		// next returns the next frame, without its number, and io.EOF if the file ends before it.
		next() (Frame, error)
	}
	number int
}

const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	magicModified     = 0xa1b2cd34 // of Alexey Kuznetsov's libpcap, with longer record headers
	magicSection      = 0x0a0d0d0a // the first block of pcapng, the same in both byte orders
	magicGzip         = 0x1f8b
)

// NewReader reads the beginning of a file: pcap in either byte order and resolution, or
// pcapng, and either of them compressed with gzip.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(2); len(head) == 2 && binary.BigEndian.Uint16(head) == magicGzip {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decompress the capture: %w", err)
		}
		b = bufio.NewReader(z)
	}
	head, err := b.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("read the capture: %w", err)
	case len(head) == 0:
		return nil, errors.New("the capture is empty, and has not even the header of a file")
	case len(head) < 4:
		return nil, fmt.Errorf("not a capture, neither pcap nor pcapng: it has %d bytes", len(head))
	}
	reader := &Reader{file: b}
	if binary.BigEndian.Uint32(head) == magicSection {
		reader.format, err = newPcapng(b)
	} else if order, magic := byteOrder(head); order != nil {
		reader.format, err = newPcap(b, order, magic)
	} else {
		return nil, fmt.Errorf("not a capture, neither pcap nor pcapng: it begins with % x", head)
	}
	if err != nil {
		return nil, fmt.Errorf("read the header of the capture: %w", whole(err))
	}
	return reader, nil
}

// Next returns the next frame, and io.EOF behind the last. Any other error names the
// frame that cannot be read; none can after it.
func (r *Reader) Next() (Frame, error) {
	f, err := r.format.next()
	if err == io.EOF {
		return Frame{}, io.EOF
	}
	r.number++
	if err != nil {
		return Frame{}, fmt.Errorf("packet %d: %w", r.number, whole(err))
	}
	f.Number = r.number
	f.Len = max(f.Len, len(f.Data)) // some programs write a wrong length on the wire
	return f, nil
}

// whole says what an end of file means where none may be.
func whole(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the file is cut or damaged: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// readData reads the bytes of a record.
func readData(r io.Reader, n uint32) ([]byte, error) {
	if n > maxRecord {
		return nil, fmt.Errorf("the record has %d bytes, and the longest is %d: the file is damaged",
			n, maxRecord)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, inside(err)
}

// inside makes of an end of file one that comes too early.
func inside(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
