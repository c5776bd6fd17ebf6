// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// MaxPayload is the length in bytes of the longest packet that a verdict can
// carry: the length of a netlink attribute is 16 bits.
const MaxPayload = 0xffff - 4

// SetPayload replaces the packet, from its network header on, when the verdict is
// given. What goes out is valid on the wire: the length and checksum of an IPv4
// header, the payload length of an IPv6 header, the length of UDP, and the checksums of
// TCP, UDP, UDP-Lite, DCCP, SCTP, ICMP, ICMPv6 and IGMP are set to fit, but for what a
// fragment does not hold. Bytes behind the datagram of a UDP packet stay that if the packet
// keeps its length. What the packet carries for other protocols, a packet in a tunnel for one,
// is left as it is.
//
// TCP sequence numbers are not adjusted: a stream whose length changes needs more, see
// AdjustSequence. A packet with SegmentationPending is cut as before, and must stay longer
// than one segment. A fragment must keep its length.
//
// b may be the slice that Payload returned, changed in place, shortened or
// appended to, which is sent without being copied; any other slice is copied and
// stays the caller's. Without a call of SetPayload no payload is sent back.
//
// Newer kernels drop some packets with a replaced payload, without an error: all in network
// namespaces that belong to a user namespace other than the first (Linux 7.1, commit
// 968cc2c96390), all of the bridge family, and those whose IP header has another length,
// other options, extension headers or fragment fields than before (Linux 7.2, commit
// 54f34607d184). Older kernels lose a packet for a local socket whose IPv4 header, or IPv6
// Hop-by-Hop Options, get another length at HookPrerouting.
//
// The packet is unchanged if SetPayload fails:
//   - with ErrTruncated when not all of it was copied;
//   - with errors.ErrUnsupported for UDP with SegmentationPending, at HookPrerouting and
//     HookInput, where the kernel would make invalid checksums, and everywhere before Linux
//     6.12, which would crash;
//   - with errors.ErrUnsupported for the packet of a tunnel with ChecksumNotReady, when that
//     is a checksum inside the tunnel: with a payload from elsewhere the kernel does not complete it;
//   - when b is too long (MaxPayload), too short to hold its headers or those that the kernel has
//     seen in the packet, or not an IP packet where one is expected;
//   - when the IPv4 header, or IPv6 Hop-by-Hop Options, have another length than before at
//     HookInput, or IPv4 options that there were at HookForward.
//
// The kernel would drop or spoil such packets without an error.
func (p *Packet) SetPayload(b []byte) error { return p.setPayload(b, nil, 0) }

// SetBody is SetPayload for what follows the transport header: b replaces the Body that Transport
// returns, behind the headers as they now are, and may have another length. It may be that Body,
// changed in place, shortened or appended to; then it is sent without being copied.
//
// SetBody fails when SetPayload does, and when Transport reports false. Bytes behind the datagram
// of a UDP packet are dropped unless b is as long as Body.
func (p *Packet) SetBody(b []byte) error {
	l, ok := p.transport()
	switch {
	case l.Cut:
		return p.editError("body", ErrTruncated)
	case !ok:
		return p.editError("body", errNoTransport)
	}
	end := l.BodyOffset + len(b)
	if end == l.BodyEnd {
		end = len(p.payload)
	}
	whole := p.payload
	if end > cap(whole) {
		whole = append(make([]byte, 0, end), whole[:l.BodyOffset]...)
	}
	return p.setPayload(whole[:end], b, l.BodyOffset)
}

// errNoTransport is returned by SetBody.
var errNoTransport = errors.New("the packet does not hold a whole transport header; see Packet.Transport")

// setPayload replaces the packet by b with body at an offset. The headers in b are before body.
func (p *Packet) setPayload(b, body []byte, at int) error {
	if err := p.checkPayload(b); err != nil {
		return p.editError("payload", err)
	}
	if !p.isIP() {
		p.replace(b)
		return nil
	}
	var how ippkt.How
	if p.came.surplus && len(b) == p.came.len {
		how |= ippkt.KeepUDPLength
	}
	if p.SKBInfo()&SegmentationPending != 0 {
		how |= ippkt.Segments
	}
	completion, err := ippkt.Plan(b, how)
	switch {
	case err != nil:
		return p.editError("payload", err)
	case completion.Protocol == UDP && how&ippkt.Segments != 0 && (p.hook == HookPrerouting || p.hook == HookInput):
		return p.editError("payload", errUDPSegments)
	case p.came.inside:
		return p.editError("payload", errInside)
	}
	p.replace(b)
	copy(p.payload[at:], body)
	completion.Apply(p.payload)
	return nil
}

// SetPayloadRaw is SetPayload without any correction of lengths or checksums. The
// kernel sends the bytes as they are, also the checksum that it has not completed where
// SKBInfo has ChecksumNotReady; with GSO it segments a super-packet and computes the
// checksums of the segments itself, but for UDP before Linux 6.12, where SetPayloadRaw fails as
// SetPayload does.
func (p *Packet) SetPayloadRaw(b []byte) error {
	if err := p.checkPayload(b); err != nil {
		return p.editError("payload", err)
	}
	p.replace(b)
	return nil
}

// errUDPSegments is because a replaced payload has lost the mark that its checksum is partial. The
// kernel then cuts a UDP super-packet for a local socket without making valid checksums, whatever is in the
// field (udp_rcv_segment). One that it sends is cut in time, see ippkt.Segments.
var errUDPSegments = fmt.Errorf("a UDP packet that came in and is still to be segmented cannot be replaced; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)

// errInside is because a replaced payload has lost that mark, and the kernel does not tell where the checksum is.
var errInside = fmt.Errorf("the packet is a tunnel's, and a checksum inside is not complete, which only the kernel can do; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)

// errNoUDPSegments is for kernels that fail, see transport.Conn.CutsReplacedUDP.
var errNoUDPSegments = fmt.Errorf("a UDP packet that is still to be segmented cannot be replaced before Linux 6.12, which crashes or makes invalid checksums; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)

const ipv4HeaderLen = 20 // without options

const (
	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
	etherTypeVLAN = 0x8100 // ETH_P_8021Q
	etherTypeQinQ = 0x88a8 // ETH_P_8021AD
)

// checkPayload says why b cannot replace the packet, and finds out what SetPayload has to know of it.
func (p *Packet) checkPayload(b []byte) error {
	switch {
	case p.Truncated() || !p.attrs.Has(nfqmsg.AttrPayload):
		return ErrTruncated
	case len(b) > MaxPayload:
		return fmt.Errorf("%d bytes are more than the %d a verdict can carry", len(b), MaxPayload)
	case len(b) == 0: // the kernel drops the packet and calls it success
		return errors.New("it is empty; return Drop to discard the packet")
	}
	switch p.remember(); {
	case len(b) < p.came.least:
		return fmt.Errorf("%d bytes are less than the %d of the packet's headers as it was queued; the kernel would drop it", len(b), p.came.least)
	case p.fixedHeaders() && ippkt.ParsedLen(b) != p.came.parsed:
		return fmt.Errorf("its IPv4 header, or IPv6 header with Hop-by-Hop Options, is not of the %d bytes that it was queued with, where the kernel goes on; change options at another hook", p.came.parsed)
	case p.came.udp && p.SKBInfo()&SegmentationPending != 0 && p.queue != nil && !p.queue.conn.CutsReplacedUDP():
		return errNoUDPSegments
	}
	return nil
}

// fixedHeaders reports whether the kernel relies on the length of headers that it has gone through: in a packet that
// it is about to deliver, to go on behind them, and for IPv4 options that it completes when it has forwarded the
// packet (ip_forward_options).
func (p *Packet) fixedHeaders() bool {
	switch {
	case p.came.parsed == 0:
		return false
	case p.hook == HookForward:
		return p.family == FamilyIPv4 && p.came.parsed > ipv4HeaderLen
	}
	return p.hook == HookInput
}

// replace makes b the payload.
func (p *Packet) replace(b []byte) {
	switch inPlace := cap(p.payload) > 0 && &b[0] == &p.payload[:1][0]; {
	case inPlace:
		p.payload = b
	case len(b) <= cap(p.payload):
		p.payload = p.payload[:len(b)]
		copy(p.payload, b)
	default:
		p.payload = bytes.Clone(b)
	}
	p.edits.Payload = p.payload
	p.edits.Set |= nfqmsg.EditPayload
}

// SetMark sets the packet mark when the verdict is given. At the output hook the
// kernel routes a packet anew whose mark has changed.
func (p *Packet) SetMark(mark uint32) {
	p.edits.Mark = mark
	p.edits.Set |= nfqmsg.EditMark
}

// SetPriority sets the queueing priority of the packet when the verdict is given.
// Kernels before 5.18 ignore it.
func (p *Packet) SetPriority(priority uint32) {
	p.edits.Priority = priority
	p.edits.Set |= nfqmsg.EditPriority
}

// SetVLAN adds a VLAN tag to a packet of the bridge family, or replaces the one it
// has, when the verdict is given. The kernel cannot take a tag away, and would write any
// Protocol, so those that are none of a tag are refused.
func (p *Packet) SetVLAN(tag VLAN) error {
	if p.family != FamilyBridge {
		return p.editError("vlan", errors.New("the kernel takes a tag only for packets of the bridge family"))
	}
	if tag.Protocol != etherTypeVLAN && tag.Protocol != etherTypeQinQ {
		return p.editError("vlan", fmt.Errorf("protocol %#04x; it must be %#04x or %#04x", tag.Protocol, etherTypeVLAN, etherTypeQinQ))
	}
	p.edits.VLANTCI, p.edits.VLANProto = tag.TCI, tag.Protocol
	p.edits.Set |= nfqmsg.EditVLAN
	return nil
}

// SetLinkHeader replaces the link-layer header of a packet of the bridge family
// when the verdict is given. It must be as long as LinkHeader: the kernel loses
// the packet otherwise. b is copied.
func (p *Packet) SetLinkHeader(b []byte) error {
	have := p.LinkHeader()
	switch {
	case have == nil:
		return p.editError("link header", errors.New("the packet has none; only those of the bridge family do"))
	case len(b) != len(have):
		return p.editError("link header", fmt.Errorf("%d bytes cannot replace %d; the kernel takes the same length only", len(b), len(have)))
	}
	p.edits.Link = append(p.edits.Link[:0], b...)
	p.edits.Set |= nfqmsg.EditLink
	return nil
}

func (p *Packet) editError(what string, err error) error {
	return &OpError{Op: "set " + what, Queue: p.number, Err: err}
}
