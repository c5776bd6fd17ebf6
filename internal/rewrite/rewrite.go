// SPDX-License-Identifier: GPL-2.0-or-later

// Package rewrite checks whether the kernel would deliver a packet whose payload a verdict
// replaces, and plans what makes the new payload valid. It does no I/O.
package rewrite

import (
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// Hooks by the numbers of linux/netfilter.h (enum nf_inet_hooks).
const (
	prerouting = iota
	input
	forward
	output
	postrouting
)

const ipv4HeaderLen = 20 // without options

var (
	// A replaced payload loses the mark that its checksum is partial. The kernel then segments a
	// UDP super-packet for a local socket with invalid checksums, whatever the field holds
	// (udp_rcv_segment). It segments one that it sends earlier, see ippkt.Segments.
	errUDPSegments = fmt.Errorf("a received UDP packet that is still to be segmented "+
		"cannot be replaced; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)

	// ErrSegments is for kernels that fail, see transport.Conn.CutsReplacedUDP.
	ErrSegments = fmt.Errorf("a UDP packet that is still to be segmented cannot be replaced "+
		"before Linux 6.12, which crashes or computes invalid checksums; add NoGSO to "+
		"Config.Flags: %w", errors.ErrUnsupported)

	// A replaced payload loses the mark that its checksum is partial, and the kernel does not say
	// where that checksum is.
	errInside = fmt.Errorf("the packet is a tunnel's, and only the kernel can complete "+
		"the checksum inside; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)
)

// Queued is what the kernel says about a packet.
type Queued struct {
	Version  byte  // 4 or 6, or 0 for a protocol other than IP
	Hook     uint8 // enum nf_inet_hooks
	Received bool  // by a device, as NFQA_IFINDEX_INDEV says: at postrouting, a forwarded packet
	Bridge   bool  // of the bridge family
	Segments bool  // NFQA_SKB_GSO
	Partial  bool  // NFQA_SKB_CSUMNOTREADY
}

// Original is what the checks need to know about a packet as it was queued.
type Original struct {
	Queued
	len int // of the payload
	// parsedLen is the length of the headers that the IP layer parsed before its hooks, behind
	// which the kernel continues; see ippkt.ParsedLen. It is 0 for the bridge family.
	parsedLen int
	// minLen is the shortest payload that nfqnl_mangle accepts: up to where the kernel believes the
	// transport header to be.
	minLen int
	// protocol is 0 if the headers cannot be read.
	protocol ippkt.Protocol
	// maybeUDP says that the packet is UDP, or that its headers cannot be read.
	maybeUDP bool
	// surplus says that bytes follow a UDP datagram that are not part of it.
	surplus bool
	// inside says that a checksum inside a tunnel is not complete yet.
	inside bool
}

// Read reads the payload of a packet as it was queued.
func Read(q Queued, payload []byte) Original {
	o := Original{Queued: q, len: len(payload)}
	if q.Version == 0 {
		return o
	}
	o.minLen = ippkt.ParsedLen(payload)
	if !q.Bridge {
		o.parsedLen = o.minLen
	}
	l, err := ippkt.Parse(payload)
	if err != nil {
		o.maybeUDP = true
		return o
	}
	o.protocol = l.Protocol
	o.maybeUDP = l.Protocol == ippkt.UDP
	o.surplus = l.UDPSurplus(payload)
	if l.Version == 6 && (q.Hook == output || q.Hook == postrouting) {
		// The sender set the transport header behind all extension headers. For forwarded packets
		// the kernel parsed only Hop-by-Hop Options; at postrouting a packet may be either.
		o.minLen = l.TransportHeaderOffset
	}
	o.inside = q.Partial && l.PartialChecksumInside(payload, q.Segments)
	return o
}

// Check says why the kernel, or the receiver, would discard b. Raw bytes may have any IP version.
func (o *Original) Check(b []byte, raw bool) error {
	switch {
	case len(b) == 0: // the kernel drops the packet and calls it success
		return errors.New("it is empty; return Drop to discard the packet")
	case !raw && o.Version != 0 && b[0]>>4 != o.Version:
		return fmt.Errorf("its IP version is %d, not %d as in the packet, and the receiver would "+
			"discard it", b[0]>>4, o.Version)
	case len(b) < o.minLen:
		return fmt.Errorf("its %d bytes are less than the %d of the headers in the packet, "+
			"and the kernel would drop it", len(b), o.minLen)
	case o.fixedHeaders() && ippkt.ParsedLen(b) != o.parsedLen:
		return fmt.Errorf("its IPv4 header, or IPv6 header with Hop-by-Hop Options, does not have "+
			"the %d bytes of the packet's, behind which the kernel continues; change options at "+
			"another hook", o.parsedLen)
	}
	return nil
}

// fixedHeaders reports whether the kernel relies on the length of the headers that it has parsed.
// It does in a packet that it is about to deliver, because it continues behind them, and for IPv4
// options that it completes after forwarding (ip_forward_options).
func (o *Original) fixedHeaders() bool {
	switch {
	case o.parsedLen == 0:
		return false
	case o.Hook == forward:
		return o.Version == 4 && o.parsedLen > ipv4HeaderLen
	}
	return o.Hook == input
}

// UDPSegments reports whether the packet may be a UDP super-packet.
func (o *Original) UDPSegments() bool { return o.maybeUDP && o.Segments }

// MustFit reports whether the kernel would answer b with an ICMP error if it were longer than the
// MTU of the outgoing interface (ip_fragment, ip6_fragment). Only packets that grow count. Of local
// packets only TCP counts, because the kernel may fragment what other sockets send (ignore_df).
func (o *Original) MustFit(b []byte) bool {
	switch {
	case len(b) <= max(o.len, ipv4HeaderLen), o.Segments, o.Bridge, o.Hook < forward:
		return false
	case o.Version == 4 && b[6]&0x40 == 0: // without Don't Fragment
		return false
	}
	return o.Hook == forward || o.Received || o.protocol == ippkt.TCP
}

// Fit says why b is too long for the MTU of an interface, which is 0 if it is not known. A packet
// that was queued with more was reassembled: the kernel fragments it again.
func (o *Original) Fit(b []byte, mtu int, name string) error {
	if mtu == 0 || o.len > mtu || len(b) <= mtu {
		return nil
	}
	return fmt.Errorf("its %d bytes exceed the MTU of %d of %s, and the kernel would not fragment "+
		"it; make it shorter, or clear Don't Fragment of IPv4", len(b), mtu, name)
}

// Plan plans what makes b, an IP packet that Check accepts, valid.
func (o *Original) Plan(b []byte) (ippkt.Completion, error) {
	var how ippkt.How
	if o.surplus && len(b) == o.len {
		how |= ippkt.KeepUDPLength
	}
	if o.Segments {
		how |= ippkt.Segments
	}
	c, err := ippkt.Plan(b, how)
	switch {
	case err != nil:
		return c, err
	case c.Protocol == ippkt.UDP && o.Segments && o.Hook <= input:
		return c, errUDPSegments
	case o.inside:
		return c, errInside
	}
	return c, nil
}
