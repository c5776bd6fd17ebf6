// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// pcapFile reads the format of draft-ietf-opsawg-pcap, and its older forms as libpcap does.
type pcapFile struct {
	file     io.Reader
	order    binary.ByteOrder
	fraction int64 // of a second that the times count, in nanoseconds
	header   []byte
	link     LinkType
	swapped  bool // the length on the wire is before the captured one
	maybe    bool // it is if it would be shorter otherwise
}

// byteOrder returns that of the file whose first bytes these are, nil if it is not pcap.
func byteOrder(head []byte) (order binary.ByteOrder, magic uint32) {
	for _, order = range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch magic = order.Uint32(head); magic {
		case magicMicroseconds, magicNanoseconds, magicModified:
			return order, magic
		}
	}
	return nil, 0
}

func newPcap(r io.Reader, order binary.ByteOrder, magic uint32) (*pcapFile, error) {
	b := make([]byte, 24)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	p := &pcapFile{file: r, order: order, fraction: 1000, header: b[:16]}
	switch magic {
	case magicNanoseconds:
		p.fraction = 1
	case magicModified: // the interface, the protocol and the kind of packet are behind the lengths
		p.header = b
	}
	switch major, minor := order.Uint16(b[4:]), order.Uint16(b[6:]); {
	case major == 2 && minor >= 4:
	case major == 2 && minor == 3:
		p.maybe = true
	case major == 2 && minor < 3, major == 543 && minor == 0:
		p.swapped = true
	default:
		return nil, fmt.Errorf("version %d.%d of pcap is not known; 2 is", major, minor)
	}
	// The upper bits tell the length of the frame check sequence.
	p.link = LinkType(order.Uint32(b[20:]))
	return p, nil
}

func (p *pcapFile) next() (Frame, error) {
	if _, err := io.ReadFull(p.file, p.header); err != nil {
		return Frame{}, err
	}
	field := func(i int) uint32 { return p.order.Uint32(p.header[4*i:]) }
	captured, wire := field(2), field(3)
	if p.swapped || p.maybe && captured > wire {
		captured, wire = wire, captured
	}
	data, err := readData(p.file, captured)
	return Frame{
		Time:     time.Unix(int64(field(0)), int64(field(1))*p.fraction).UTC(),
		LinkType: p.link, Data: data, Len: int(wire),
	}, err
}
