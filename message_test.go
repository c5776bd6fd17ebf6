// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// attr is an attribute of a message under construction.
type attr struct {
	typ  uint16
	data []byte
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// packetHdr is the data of NFQA_PACKET_HDR, 7 bytes.
func packetHdr(id uint32, proto uint16, hook Hook) []byte {
	return append(append(be32(id), be16(proto)...), byte(hook))
}

// packetMessage makes a PACKET message as the kernel does: the last attribute is not
// padded.
func packetMessage(family Family, queue uint16, attrs ...attr) []byte {
	b := nlwire.AppendHeader(nil, nfqmsg.Packet, 0, 0)
	b = binary.BigEndian.AppendUint16(append(b, byte(family), 0), queue)
	for i, a := range attrs {
		b = nlwire.AppendAttrHeader(b, a.typ, len(a.data))
		b = append(b, a.data...)
		if i < len(attrs)-1 {
			b = nlwire.Pad(b, len(a.data))
		}
	}
	nlwire.Finish(b, 0)
	return b
}

// udpPacket is an IPv4 packet of 30 bytes, an odd multiple of 2.
var udpPacket = []byte{
	0x45, 0, 0, 30, 0, 1, 0x40, 0, 64, 17, 0x3c, 0xcc, 127, 0, 0, 1, 127, 0, 0, 1,
	0x30, 0x39, 0x0f, 0xa0, 0, 10, 0x5c, 0x04, 'h', 'i',
}

// decoded returns the packet in a message that lies in a slot with room behind it.
func decoded(msg []byte) (*Packet, error) {
	slot := make([]byte, len(msg)+1000)
	n := copy(slot, msg)
	p := new(Packet)
	return p, p.reset(nil, slot, slot[:n])
}
