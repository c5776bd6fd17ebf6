// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"errors"
)

// ErrNeedlessJumbo is returned by [Complete] for a packet with a Jumbo Payload
// option that is too short to have one (RFC 2675 section 3).
var ErrNeedlessJumbo = errors.New("the IPv6 Jumbo Payload option is only valid above 65535 " +
	"bytes: remove it")

// Complete makes b, a whole packet from its IP header on, valid on the wire. It
// sets
//
//   - the IPv4 total length or IPv6 payload length, and the UDP length, to what
//     b has; to 0 where that needs more than 16 bits, as in BIG TCP packets,
//     and then the Jumbo Payload option if there is one;
//   - the IPv4 header checksum;
//   - the checksum of TCP, UDP, UDP-Lite, ICMP, ICMPv6, IGMP, SCTP and DCCP, in
//     full, whatever was there. UDP over IPv4 gets one even where the sender
//     used none. UDP-Lite and DCCP keep the coverage that the packet asks for.
//
// The pseudo-header has the final destination of an IPv6 Routing header of type
// 0, 2, 3 or 4 and of an IPv4 source route, and the address of a Home Address
// option as source.
//
// Of a fragment only the IP header is completed: the checksum covers bytes that
// are elsewhere. The same holds for other protocols (ESP, GRE, IP in IP ...).
// What a packet carries is its own affair: the packet quoted by an ICMP error
// and tunnelled packets stay as they are, and so do the integrity check value
// of an Authentication Header and what Mobility, HIP and Shim6 headers hold.
//
// A GSO super-packet of TCP is completed like any other; the kernel computes lengths
// and checksums again for each segment that it cuts. See [Segments] for UDP.
//
// Bytes of b behind the packet become part of it. To edit a packet that arrived
// with link-layer padding, complete only its first [Layout.Len] bytes.
//
// When b cannot be made valid Complete returns an error and leaves b untouched.
// It never allocates.
func Complete(b []byte) error {
	c, err := Plan(b, 0)
	if err == nil {
		c.Apply(b)
	}
	return err
}

// How says in what a packet is not completed as [Complete] does it.
type How uint8

const (
	// Segments is for a GSO super-packet as the sender's stack has it: the checksum of UDP is
	// the sum of the pseudo-header alone. The kernel makes those of the segments from it, but
	// for TCP anew (__udp_gso_segment of net/ipv4/udp_offload.c, tcp4_gso_segment of
	// net/ipv4/tcp_offload.c).
	Segments How = 1 << iota
	// KeepUDPLength leaves a UDP length alone that is less than what there is. The bytes behind
	// it are no data of the datagram (RFC 9868), and its checksum does not cover them.
	KeepUDPLength
)

// Completion is what makes a packet valid. It holds no memory of the packet's.
type Completion struct {
	// Layout is that of the packet, whatever length its headers state.
	Layout
	transport transport
}

// Plan finds out what would make b, a whole packet from its IP header on, valid on the
// wire, or why nothing would. It writes nothing and never allocates.
func Plan(b []byte, how How) (c Completion, err error) {
	if err := c.parse(b, true); err != nil {
		return c, err
	}
	if !c.Fragment() {
		if c.transport, err = planTransport(&c.Layout, b, how); err != nil {
			return c, err
		}
	}
	if c.jumbo > 0 && len(b)-ipv6HeaderLen <= maxUint16 {
		return c, ErrNeedlessJumbo
	}
	return c, nil
}

// Apply completes b, which has the bytes that [Plan] has seen.
func (c *Completion) Apply(b []byte) {
	if c.Version == 4 {
		binary.BigEndian.PutUint16(b[2:4], length16(len(b)))
		putInternet(b[10:12], b[:c.HeaderLen], 0)
	} else {
		n := len(b) - ipv6HeaderLen
		binary.BigEndian.PutUint16(b[4:6], length16(n))
		if c.jumbo > 0 {
			binary.BigEndian.PutUint32(b[c.jumbo:c.jumbo+4], uint32(n))
		}
	}
	c.transport.complete(b[c.TransportHeaderOffset:])
}

// length16 returns n as a 16-bit length field has it.
func length16(n int) uint16 {
	if n > maxUint16 {
		return 0
	}
	return uint16(n)
}
