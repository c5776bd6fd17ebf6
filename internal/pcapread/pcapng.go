// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// pcapngFile reads the format of draft-ietf-opsawg-pcapng.
type pcapngFile struct {
	file       *bufio.Reader
	order      binary.ByteOrder
	interfaces []ngInterface // of the section

	left   uint32 // bytes of the block that are not read
	length uint32 // of the block, as at its beginning
	buf    [20]byte
	value  [maxName]byte // of an option
}

// ngInterface is an interface of a file.
type ngInterface struct {
	name   string
	link   LinkType
	snap   uint32 // the longest record, 0 for no bound
	offset int64  // of the times, in seconds
	units  uint8  // if_tsresol: a power of 10, or of 2 with the highest bit
}

// Blocks and options (draft-ietf-opsawg-pcapng, sections 4 and 11).
const (
	blockInterface         = 1
	blockPacket            = 2 // before there was blockEnhanced
	blockSimple            = 3
	blockEnhanced          = 6
	byteOrderMagic         = 0x1a2b3c4d
	optionEnd              = 0
	optionName             = 2
	optionTimeUnits        = 9
	optionTimeOffset       = 14
	maxName                = 256 // no system has longer ones
	maxInterfaces          = 1 << 16
	headerAndTrailer       = 12 // type and length, and the length again
	microseconds     uint8 = 6
)

func newPcapng(r *bufio.Reader) (*pcapngFile, error) {
	p := &pcapngFile{file: r, order: binary.LittleEndian}
	if _, err := p.block(); err != nil {
		return nil, err
	}
	return p, p.section()
}

// block reads the beginning of a block, and returns its type, and io.EOF if there is none.
func (p *pcapngFile) block() (typ uint32, err error) {
	if _, err := io.ReadFull(p.file, p.buf[:8]); err != nil {
		return 0, err
	}
	typ = p.order.Uint32(p.buf[:])
	if typ == magicSection {
		magic, err := p.file.Peek(4)
		if err != nil {
			return 0, inside(err)
		}
		switch {
		case binary.LittleEndian.Uint32(magic) == byteOrderMagic:
			p.order = binary.LittleEndian
		case binary.BigEndian.Uint32(magic) == byteOrderMagic:
			p.order = binary.BigEndian
		default:
			return 0, errors.New("a section does not tell its byte order: the file is damaged")
		}
	}
	p.length = p.order.Uint32(p.buf[4:])
	if p.length < headerAndTrailer || p.length%4 != 0 {
		return 0, fmt.Errorf("a block has %d bytes: the file is damaged", p.length)
	}
	p.left = p.length - headerAndTrailer
	return typ, nil
}

// read reads bytes of the block. They are overwritten by the next call.
func (p *pcapngFile) read(n uint32) ([]byte, error) {
	if n > p.left {
		return nil, errors.New("a block is too short for what it has: the file is damaged")
	}
	p.left -= n
	_, err := io.ReadFull(p.file, p.buf[:n])
	return p.buf[:n], inside(err)
}

// skip passes over bytes of the block.
func (p *pcapngFile) skip(n uint32) error {
	p.left -= n
	for n > 0 { // which may be too much for an int
		some := min(n, 1<<20)
		if _, err := p.file.Discard(int(some)); err != nil {
			return inside(err)
		}
		n -= some
	}
	return nil
}

// end skips the rest of the block.
func (p *pcapngFile) end() error {
	if err := p.skip(p.left); err != nil {
		return err
	}
	p.left = 4
	trailer, err := p.read(4)
	if err != nil {
		return err
	}
	if n := p.order.Uint32(trailer); n != p.length {
		return fmt.Errorf("a block has %d bytes at its beginning and %d at its end: the file is damaged",
			p.length, n)
	}
	return nil
}

// section reads the header of a section.
func (p *pcapngFile) section() error {
	b, err := p.read(8)
	if err != nil {
		return err
	}
	if major := p.order.Uint16(b[4:]); major != 1 {
		return fmt.Errorf("version %d of pcapng is not known; 1 is", major)
	}
	p.interfaces = nil
	return p.end()
}

func (p *pcapngFile) next() (Frame, error) {
	for {
		typ, err := p.block()
		if err != nil {
			return Frame{}, err
		}
		switch typ {
		case magicSection:
			err = p.section()
		case blockInterface:
			err = p.readInterface()
		case blockEnhanced, blockPacket, blockSimple:
			return p.packet(typ)
		default:
			err = p.end()
		}
		if err != nil {
			return Frame{}, inside(err)
		}
	}
}

// readInterface reads an Interface Description Block.
func (p *pcapngFile) readInterface() error {
	b, err := p.read(8)
	if err != nil {
		return err
	}
	i := ngInterface{
		link: LinkType(p.order.Uint16(b)), snap: p.order.Uint32(b[4:]), units: microseconds,
	}
	for code := uint16(optionEnd + 1); code != optionEnd && p.left >= 4; {
		var value []byte
		if code, value, err = p.option(); err != nil {
			return err
		}
		switch {
		case code == optionName:
			i.name = string(value)
		case code == optionTimeUnits && len(value) > 0:
			i.units = value[0]
		case code == optionTimeOffset && len(value) >= 8:
			i.offset = int64(p.order.Uint64(value))
		}
	}
	if len(p.interfaces) == maxInterfaces {
		return fmt.Errorf("a section has more than %d interfaces", maxInterfaces)
	}
	p.interfaces = append(p.interfaces, i)
	return p.end()
}

// option reads an option. Its value is cut if it is longer than any that is of interest, and is
// overwritten by the next call.
func (p *pcapngFile) option() (code uint16, value []byte, err error) {
	b, err := p.read(4)
	if err != nil {
		return 0, nil, err
	}
	code = p.order.Uint16(b)
	length := uint32(p.order.Uint16(b[2:]))
	padded := (length + 3) &^ 3
	if padded > p.left {
		return 0, nil, errors.New("an option is longer than its block: the file is damaged")
	}
	value = p.value[:min(length, maxName)]
	if _, err := io.ReadFull(p.file, value); err != nil {
		return 0, nil, inside(err)
	}
	p.left -= uint32(len(value))
	return code, value, p.skip(padded - uint32(len(value)))
}

// packet reads a block with a packet.
func (p *pcapngFile) packet(typ uint32) (f Frame, err error) {
	var index, length, wire uint32
	var units uint64
	if typ == blockSimple {
		b, err := p.read(4)
		if err != nil {
			return f, err
		}
		wire = p.order.Uint32(b)
		length = min(wire, p.left) // there may be padding, and there may be less
	} else {
		b, err := p.read(20)
		if err != nil {
			return f, err
		}
		index = p.order.Uint32(b)
		if typ == blockPacket { // which has a count of drops there, too
			index = uint32(p.order.Uint16(b))
		}
		units = uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:]))
		length, wire = p.order.Uint32(b[12:]), p.order.Uint32(b[16:])
	}
	if uint64(index) >= uint64(len(p.interfaces)) {
		return f, fmt.Errorf("it is of interface %d, and the file has described %d",
			index, len(p.interfaces))
	}
	i := p.interfaces[index]
	if typ != blockSimple {
		f.Time = i.time(units)
	} else if i.snap != 0 {
		length = min(length, i.snap)
	}
	if length > p.left {
		return f, errors.New("its block is too short for it: the file is damaged")
	}
	f.Interface, f.LinkType, f.Len = i.name, i.link, int(wire)
	if f.Data, err = readData(p.file, length); err != nil {
		return f, err
	}
	p.left -= length
	return f, p.end()
}

// time returns the time that is so many units of the interface.
func (i *ngInterface) time(units uint64) time.Time {
	var seconds, fraction uint64
	power := uint(i.units &^ 0x80)
	switch unit := tens(power); {
	case i.units&0x80 != 0:
		seconds = units >> power
		high, low := bits.Mul64(units-seconds<<power, uint64(time.Second))
		fraction = low>>power | high<<(64-power) | high>>(power-64) // shifts by more than 63 are 0
	case unit != 0:
		seconds = units / unit
		high, low := bits.Mul64(units%unit, uint64(time.Second))
		fraction, _ = bits.Div64(high, low, unit)
	default: // a second has more units than can be counted
		if unit = tens(power - 9); unit != 0 {
			fraction = units / unit
		}
	}
	return time.Unix(int64(seconds)+i.offset, int64(fraction)).UTC()
}

// tens returns a power of ten, 0 if that has more than 64 bits.
func tens(power uint) uint64 {
	if power > 19 {
		return 0
	}
	n := uint64(1)
	for range power {
		n *= 10
	}
	return n
}
