// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"sync"

	"github.com/chifflier/nfqueue-go"
)

// Payload is a packet that waits for its verdict. It stays valid for as long as the
// program keeps it. All methods are safe for concurrent use. Use nfqueue.Packet instead,
// or nfqueue.Held for a verdict that is given later.
type Payload struct {
	mark            uint32
	in, out         uint32
	physIn, physOut uint32

	mu      sync.Mutex
	held    *nfqueue.Held
	decided bool

	// Id is the number by which the kernel knows the packet (nfqueue.Packet.ID).
	Id uint32
	// Data is the packet from its IP header on, which is the program's to change and
	// to keep. It is empty with NFQNL_COPY_META (nfqueue.Packet.Payload).
	Data []byte
}

func newPayload(p *nfqueue.Packet) *Payload {
	return &Payload{
		held:    p.Defer(),
		mark:    p.Mark(),
		in:      uint32(p.InDev()),
		out:     uint32(p.OutDev()),
		physIn:  uint32(p.PhysInDev()),
		physOut: uint32(p.PhysOutDev()),
		Id:      p.ID(),
		Data:    bytes.Clone(p.Payload()), // what Held has is sent with a modified packet
	}
}

// GetNFMark returns the mark of the packet, 0 for none (nfqueue.Packet.Mark).
func (p *Payload) GetNFMark() uint32 { return p.mark }

// GetInDev returns the index of the interface on which the packet came in, 0 for none
// (nfqueue.Packet.InDev).
func (p *Payload) GetInDev() uint32 { return p.in }

// GetOutDev returns the index of the interface by which the packet leaves, 0 for none
// (nfqueue.Packet.OutDev).
func (p *Payload) GetOutDev() uint32 { return p.out }

// GetPhysInDev returns the index of the bridge port on which a bridged packet came in,
// 0 for none (nfqueue.Packet.PhysInDev).
func (p *Payload) GetPhysInDev() uint32 { return p.physIn }

// GetPhysOutDev returns the index of the bridge port by which a bridged packet leaves,
// 0 for none (nfqueue.Packet.PhysOutDev).
func (p *Payload) GetPhysOutDev() uint32 { return p.physOut }
