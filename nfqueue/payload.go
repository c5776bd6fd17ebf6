// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"sync"

	"github.com/chifflier/nfqueue-go"
)

// Payload is a packet that waits for its verdict. The program may keep it as long as it likes, and
// may copy it: all copies are one packet with one verdict. All methods are safe for concurrent use.
// Use nfqueue.Packet instead, or nfqueue.Held for a verdict that is given later.
type Payload struct {
	packet *packet

	// Id is the number by which the kernel knows the packet (nfqueue.Packet.ID).
	Id uint32
	// Data is the packet from its IP header on. The program may change and keep it. It is empty
	// with NFQNL_COPY_META (nfqueue.Packet.Payload).
	Data []byte
}

// packet is what the copies of a Payload share.
type packet struct {
	mark            uint32
	in, out         uint32
	physIn, physOut uint32

	mu      sync.Mutex
	held    *nfqueue.Held
	decided bool
}

func newPayload(p *nfqueue.Packet) *Payload {
	return &Payload{
		packet: &packet{
			held:    p.Defer(),
			mark:    p.Mark(),
			in:      uint32(p.InDev()),
			out:     uint32(p.OutDev()),
			physIn:  uint32(p.PhysInDev()),
			physOut: uint32(p.PhysOutDev()),
		},
		Id:   p.ID(),
		Data: bytes.Clone(p.Payload()), // the bytes of Held are sent with a modified packet
	}
}

// none is the packet of a Payload that the program has made itself.
var none = new(packet)

// shared returns what the copies of p share.
func (p *Payload) shared() *packet {
	if p.packet == nil {
		return none
	}
	return p.packet
}

// GetNFMark returns the mark of the packet, 0 for none (nfqueue.Packet.Mark).
func (p *Payload) GetNFMark() uint32 { return p.shared().mark }

// GetInDev returns the index of the interface on which the packet arrived, 0 for none
// (nfqueue.Packet.InDev).
func (p *Payload) GetInDev() uint32 { return p.shared().in }

// GetOutDev returns the index of the interface by which the packet leaves, 0 for none
// (nfqueue.Packet.OutDev).
func (p *Payload) GetOutDev() uint32 { return p.shared().out }

// GetPhysInDev returns the index of the bridge port on which a bridged packet arrived, 0 for none
// (nfqueue.Packet.PhysInDev).
func (p *Payload) GetPhysInDev() uint32 { return p.shared().physIn }

// GetPhysOutDev returns the index of the bridge port by which a bridged packet leaves, 0 for none
// (nfqueue.Packet.PhysOutDev).
func (p *Payload) GetPhysOutDev() uint32 { return p.shared().physOut }
