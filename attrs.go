// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "encoding/binary"

// data returns the bytes of an attribute, nil if it is absent.
func (p *Packet) data(attr uint) []byte {
	if !p.attrs.Has(attr) {
		return nil
	}
	at := p.attrs.At[attr]
	return p.msg[at.Off : at.Off+at.Len : at.Off+at.Len]
}

func (p *Packet) uint32(attr uint) (v uint32, ok bool) {
	if !p.attrs.Has(attr) {
		return 0, false
	}
	return binary.BigEndian.Uint32(p.msg[p.attrs.At[attr].Off:]), true
}

func (p *Packet) dev(attr uint) int {
	v, _ := p.uint32(attr)
	return int(v)
}
