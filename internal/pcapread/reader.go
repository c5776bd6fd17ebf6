// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapread reads capture files, pcap and pcapng, and finds the packets in their
// frames the way the kernel would hand them to a hook. It runs on every system.
package pcapread

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
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
	LinkType  layers.LinkType
	// Data is what was captured of the frame. It belongs to the caller of Next.
	Data []byte
	// Len is the length of the frame on the wire, at least that of Data.
	Len int
}

// Reader reads the frames of a file. It is not safe for concurrent use.
type Reader struct {
	source
	number int
}

// source is one of the readers of pcapgo.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	magicSection      = 0x0a0d0d0a // the Section Header Block of pcapng, the same in both byte orders
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
	var s source
	switch big, little := binary.BigEndian.Uint32(head), binary.LittleEndian.Uint32(head); {
	case big == magicSection:
		s, err = pcapgo.NewNgReader(b, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	case big == magicMicroseconds, big == magicNanoseconds, little == magicMicroseconds, little == magicNanoseconds:
		s, err = pcapgo.NewReader(b)
	default:
		return nil, fmt.Errorf("not a capture, neither pcap nor pcapng: it begins with % x", head)
	}
	if err != nil {
		return nil, fmt.Errorf("read the header of the capture: %w", whole(err))
	}
	return &Reader{source: s}, nil
}

// Next returns the next frame, and io.EOF behind the last. Any other error names the
// frame that cannot be read; none can after it.
func (r *Reader) Next() (Frame, error) {
	data, info, err := r.ReadPacketData()
	if err == io.EOF && info.CaptureLength == 0 {
		return Frame{}, io.EOF
	}
	r.number++
	if err != nil {
		return Frame{}, fmt.Errorf("packet %d: %w", r.number, whole(err))
	}
	f := Frame{Number: r.number, Time: info.Timestamp, Data: data, Len: max(info.Length, len(data))}
	switch s := r.source.(type) {
	case *pcapgo.Reader:
		f.LinkType = s.LinkType()
	case *pcapgo.NgReader:
		i, err := s.Interface(info.InterfaceIndex)
		if err != nil {
			return Frame{}, fmt.Errorf("packet %d: %w", r.number, err)
		}
		f.LinkType, f.Interface = i.LinkType, i.Name
	}
	return f, nil
}

// whole says what an end of file means where none may be.
func whole(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the file is cut or damaged: %w", io.ErrUnexpectedEOF)
	}
	return err
}
