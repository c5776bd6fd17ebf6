// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"time"
)

// Packet is a packet when it meets a rule that queues it, with all that a kernel could know about
// it. The kernel tells a queue some of that, depending on the hook and the flags of the queue.
type Packet struct {
	Family    uint8  // NFPROTO_*: 2 IPv4, 7 bridge, 10 IPv6
	EtherType uint16 // of Payload
	Hook      uint8  // NF_INET_*

	// Indexes of interfaces, 0 for none.
	InDev, OutDev, PhysInDev, PhysOutDev uint32

	Mark, Priority uint32 // 0 is none
	HardwareAddr   []byte // source, at most 8 bytes; needs InDev
	VLAN           VLAN   // zero is none; bridge family only
	LinkHeader     []byte // bridge family only
	Time           time.Time
	Owner          *Owner // of the sending socket
	ClassID        uint32 // net_cls, 0 is none
	SecCtx         []byte
	Conntrack      []byte // CTA_* attributes of the entry
	ConntrackInfo  uint32 // IP_CT_*
	SKBInfo        uint32 // NFQA_SKB_*
	Payload        []byte // from the network header on
	Len            int    // of the packet, where Payload is only its beginning
}

// VLAN is an accelerated VLAN tag.
type VLAN struct{ TCI, Protocol uint16 }

// Owner is who opened a socket.
type Owner struct{ UID, GID uint32 }

// clone returns a copy that shares no memory with p.
func (p Packet) clone() Packet {
	for _, b := range []*[]byte{&p.HardwareAddr, &p.LinkHeader, &p.SecCtx, &p.Conntrack, &p.Payload} {
		*b = bytes.Clone(*b)
	}
	if p.Owner != nil {
		owner := *p.Owner
		p.Owner = &owner
	}
	return p
}

// Protocol families, hooks and bits with a meaning of their own.
const (
	familyIPv4   = 2
	familyBridge = 7
	familyIPv6   = 10

	hookForward = 2

	skbChecksumNotReady = 1 // NFQA_SKB_CSUMNOTREADY
	skbGSO              = 2 // NFQA_SKB_GSO
)
