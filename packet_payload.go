// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/rewrite"
)

// MaxPayload is the length in bytes of the longest packet that a verdict can carry: the length of
// a netlink attribute has 16 bits.
const MaxPayload = 0xffff - 4

// SetPayload replaces the packet, from its network header on, when the verdict is given. The new
// packet is valid on the wire: SetPayload sets the length and checksum of an IPv4 header, the
// payload length of an IPv6 header, the length of UDP, and the checksums of TCP, UDP, UDP-Lite,
// DCCP, SCTP, ICMP, ICMPv6 and IGMP, except where a fragment lacks what they cover. Bytes behind
// the datagram of a UDP packet stay there if the packet keeps its length.
//
// The caller does the rest. SetPayload leaves the contents of other protocols as they are, such
// as the packet in a tunnel. It does not adjust TCP sequence numbers: a stream whose
// length changes needs more, see AdjustSequence. Behind an Authentication Header it sets the
// checksum, but the receiver discards the packet, because the header's own check no longer
// matches. A packet with SegmentationPending is segmented as before, and must stay longer than
// one segment. A fragment must keep its length.
//
// b may be the slice that Payload returned, changed in place, shortened or appended to; it is then
// sent without a copy. Any other slice is copied and stays the caller's; SetPayload allocates if it
// does not fit the memory of the packet. Without SetPayload, changes in place are not sent.
//
// SetPayload fails, and leaves the packet unchanged, where the kernel would lose or corrupt the new
// packet without an error:
//   - with ErrTruncated when the packet was not copied whole; the error says what helps;
//   - with errors.ErrUnsupported for UDP with SegmentationPending: at HookPrerouting and HookInput,
//     where the kernel would compute invalid checksums, and at every hook before Linux 6.12, which
//     computes them wrong or crashes;
//   - with errors.ErrUnsupported for a tunnel's packet with ChecksumNotReady if that checksum is
//     inside the tunnel: the kernel does not complete it in a replaced payload;
//   - when b is longer than MaxPayload, shorter than its own headers or than the headers that the
//     kernel has seen in the packet, not an IP packet where one is expected, or one of the other IP
//     version;
//   - when the IPv4 header, or IPv6 Hop-by-Hop Options, change their length at HookInput, or IPv4
//     options at HookForward;
//   - when a longer b exceeds the MTU of OutDev and the kernel would answer with an ICMP error
//     instead of fragmenting it: for forwarded IPv6 and IPv4 with Don't Fragment, and for such TCP
//     of this machine.
//
// SetPayload cannot foresee every loss. A packet that grows is also lost when it exceeds the MTU
// of the path or of a bridge, or of the interface that routing chooses after HookPrerouting, or
// when it is UDP of a local socket that forbids fragments (IP_MTU_DISCOVER, as for QUIC). Older
// kernels lose a packet for a local socket whose IPv4 header, or IPv6 Hop-by-Hop Options, change
// their length at HookPrerouting. Newer kernels drop replaced payloads in network namespaces that
// belong to a user namespace other than the first (Linux 7.1, commit 968cc2c96390), of the bridge
// family, and with other IP options, extension headers or fragment fields than before (Linux 7.2,
// commit 54f34607d184).
func (p *Packet) SetPayload(b []byte) error { return p.setPayload(b, nil, 0) }

// SetBody is SetPayload for what follows the transport header. b replaces the Body that Transport
// returns, behind the current headers, and may have another length. It may be that Body, changed in
// place, shortened or appended to; it is then sent without a copy.
//
// SetBody fails when SetPayload does, and when Transport reports false. It drops bytes behind the
// datagram of a UDP packet unless b is as long as Body.
func (p *Packet) SetBody(b []byte) error {
	l, ok := p.transport()
	switch {
	case l.Cut:
		return p.editError("body", p.truncation())
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

// SetPayloadRaw is SetPayload without any correction of lengths or checksums, and without a check
// of the IP version and the MTU. The kernel sends the bytes as they are, even a checksum that it
// has not completed, see ChecksumNotReady. It segments a super-packet and computes the checksums
// of the segments, except of UDP before Linux 6.12, where SetPayloadRaw fails like SetPayload.
func (p *Packet) SetPayloadRaw(b []byte) error {
	if err := p.checkPayload(b, true); err != nil {
		return p.editError("payload", err)
	}
	p.replace(b)
	return nil
}

// setPayload replaces the packet by b, with body at an offset behind the headers.
func (p *Packet) setPayload(b, body []byte, at int) error {
	if err := p.checkPayload(b, false); err != nil {
		return p.editError("payload", err)
	}
	if !p.isIP() {
		p.replace(b)
		return nil
	}
	completion, err := p.original.Plan(b)
	if err != nil {
		return p.editError("payload", err)
	}
	p.replace(b)
	copy(p.payload[at:], body)
	completion.Apply(p.payload)
	return nil
}

var errNoTransport = errors.New("the packet has no whole transport header; see Packet.Transport")

// rememberOriginal reads the packet as it was queued, once, before it can be edited in place.
func (p *Packet) rememberOriginal() {
	if !p.originalKnown {
		p.original = rewrite.Read(rewrite.Queued{
			Version:  p.ipVersion(),
			Hook:     uint8(p.hook),
			Received: p.InDev() != 0,
			Bridge:   p.family == FamilyBridge,
			Segments: p.SKBInfo()&SegmentationPending != 0,
			Partial:  p.SKBInfo()&ChecksumNotReady != 0,
		}, p.payload)
		p.originalKnown = true
	}
}

// checkPayload says why b cannot replace the packet.
func (p *Packet) checkPayload(b []byte, raw bool) error {
	switch {
	case p.Truncated() || !p.attrs.Has(nfqmsg.AttrPayload):
		return p.truncation()
	case len(b) > MaxPayload:
		return fmt.Errorf("%d bytes are more than the %d that a verdict can carry", len(b), MaxPayload)
	}
	p.rememberOriginal()
	if p.original.UDPSegments() && p.queue != nil && !p.queue.conn.CutsReplacedUDP() {
		return rewrite.ErrSegments
	}
	if err := p.original.Check(b, raw); err != nil || raw || !p.original.MustFit(b) {
		return err
	}
	out := p.queue.link(p.OutDev())
	return p.original.Fit(b, out.MTU, out.Name)
}

// truncation returns ErrTruncated with what helps.
func (p *Packet) truncation() error {
	switch full := p.FullLen(); {
	case !p.attrs.Has(nfqmsg.AttrPayload):
		return fmt.Errorf("%w: the queue copies metadata only; use CopyPacket", ErrTruncated)
	case full > MaxPayload:
		return fmt.Errorf("%w: its %d bytes exceed the %d of a message, whatever the copy range; "+
			"add NoGSO to Config.Flags, or lower gso_max_size or gso_ipv4_max_size of the interface",
			ErrTruncated, full, MaxPayload)
	default:
		return fmt.Errorf("%w: %d of %d bytes were; raise the copy range",
			ErrTruncated, len(p.payload), full)
	}
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

func (p *Packet) editError(what string, err error) error {
	return &OpError{Op: "set " + what, Queue: p.number, Err: err}
}
