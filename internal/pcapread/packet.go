// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bytes"
	"encoding/binary"
	"net"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// Packet is what a hook gets of a frame. Its memory is the frame's.
type Packet struct {
	// EtherType is that of Payload, 0 if it has none.
	EtherType uint16
	// Payload is the packet from its network header on.
	Payload []byte
	// Len is the length of the packet, more than that of Payload if the capture was cut.
	Len int
	// HardwareAddr is the source address of the link layer, nil if there is none.
	HardwareAddr net.HardwareAddr

	// LinkHeader and Tag are set by Bridged: the Ethernet header without the outer VLAN
	// tag, and that tag.
	LinkHeader []byte
	Tag        Tag
}

// Tag is a VLAN tag, zero for none.
type Tag struct{ TCI, Protocol uint16 }

// IP returns the packet as hooks of the IPv4 and IPv6 families see it: without link header, VLAN
// tags and other headers that the interfaces below take away, and without padding. It is false for
// anything else, of which it returns what it can read.
func (f *Frame) IP() (Packet, bool) {
	h, ok := f.link()
	if !ok {
		return Packet{Len: f.Len}, false
	}
	for h.inner(f.Data) {
	}
	if h.len > len(f.Data) || isTag(h.etherType) { // cut
		return Packet{}, false
	}
	p := f.behind(h)
	if t := typeOfVersion(p.Payload); t == 0 || t != p.EtherType {
		return p, false
	}
	// Of a packet with broken headers as much is known as there is.
	if l, _ := ippkt.Parse(p.Payload); l.TotalLen > 0 && l.TotalLen < p.Len {
		p.Len = l.TotalLen
		p.Payload = p.Payload[:min(len(p.Payload), p.Len)]
	}
	return p, true
}

// Bridged returns the packet as hooks of the bridge family see it: the outer VLAN tag is
// apart, and any protocol will do. It is false for a frame without a whole Ethernet
// header.
func (f *Frame) Bridged() (Packet, bool) {
	h, ok := f.link()
	if !ok || !h.ethernet {
		return Packet{Len: f.Len}, false
	}
	var tag Tag
	if isTag(h.etherType) {
		if tag, ok = h.untag(f.Data); !ok {
			return Packet{}, false
		}
	}
	p := f.behind(h)
	p.Tag = tag
	p.LinkHeader = binary.BigEndian.AppendUint16(bytes.Clone(f.Data[:12]), h.etherType)
	return p, true
}

// behind returns what is behind a header.
func (f *Frame) behind(h header) Packet {
	return Packet{
		EtherType: h.etherType, Payload: f.Data[h.len:], Len: f.Len - h.len, HardwareAddr: h.source,
	}
}
