// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// MaxPayload is the length in bytes of the longest packet that a verdict can carry: the length of
// a netlink attribute has 16 bits.
const MaxPayload = 0xffff - 4

// SetPayload replaces the packet, from its network header on, when the verdict is given. The new
// packet is valid on the wire: SetPayload sets the length and checksum of an IPv4 header, the payload
// length of an IPv6 header, the length of UDP, and the checksums of TCP, UDP, UDP-Lite, DCCP, SCTP,
// ICMP, ICMPv6 and IGMP, except where a fragment lacks what they cover. Bytes behind the datagram of
// a UDP packet stay there if the packet keeps its length.
//
// Some things stay the caller's task. SetPayload leaves the contents of other protocols as they are,
// such as the packet in a tunnel. It does not adjust TCP sequence numbers: a stream whose length
// changes needs more, see AdjustSequence. Behind an Authentication Header it sets the checksum, but
// the receiver discards the packet, because the header's own check no longer matches. A packet
// with SegmentationPending is segmented as before, and must stay longer than one segment. A fragment
// must keep its length.
//
// b may be the slice that Payload returned, changed in place, shortened or appended to; it is then
// sent without being copied. Any other slice is copied and stays the caller's. If SetPayload is not
// called, no payload is sent back.
//
// SetPayload fails, and leaves the packet unchanged, where the kernel would lose or corrupt the new
// packet without an error:
//   - with ErrTruncated when the packet was not copied whole; the error says what helps;
//   - with errors.ErrUnsupported for UDP with SegmentationPending, at HookPrerouting and HookInput,
//     where the kernel would compute invalid checksums, and everywhere before Linux 6.12, which
//     would crash;
//   - with errors.ErrUnsupported for a tunnel's packet with ChecksumNotReady if that checksum is
//     inside the tunnel: the kernel does not complete it in a replaced payload;
//   - when b is longer than MaxPayload, shorter than its own headers or than the headers that the
//     kernel has seen in the packet, not an IP packet where one is expected, or one of the other IP
//     version;
//   - when the IPv4 header, or IPv6 Hop-by-Hop Options, change their length at HookInput, or IPv4
//     options at HookForward;
//   - when a longer b exceeds the MTU of OutDev and the kernel would answer with an ICMP error
//     instead of fragmenting it: at HookForward for IPv6 and for IPv4 with Don't Fragment, and for
//     such TCP at HookOutput and HookPostrouting.
//
// SetPayload cannot foresee every loss. A packet that grows also gets lost when it exceeds the MTU
// of the path or of a bridge, or of the interface that routing chooses after HookPrerouting. Older
// kernels lose a packet for a local socket whose IPv4 header, or IPv6 Hop-by-Hop Options, change
// their length at HookPrerouting. Newer kernels drop replaced payloads in network namespaces that
// belong to a user namespace other than the first (Linux 7.1, commit 968cc2c96390), of the bridge
// family, and with other IP options, extension headers or fragment fields than before (Linux 7.2,
// commit 54f34607d184).
func (p *Packet) SetPayload(b []byte) error { return p.setPayload(b, nil, 0) }

// SetBody is SetPayload for what follows the transport header. b replaces the Body that Transport
// returns, behind the current headers, and may have another length. It may be that Body, changed in
// place, shortened or appended to; it is then sent without being copied.
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

// SetPayloadRaw is SetPayload without any correction of lengths or checksums. The kernel sends the
// bytes as they are, even a checksum that it has not completed, see ChecksumNotReady. It segments a
// super-packet and computes the checksums of the segments, except of UDP before Linux 6.12, where
// SetPayloadRaw fails like SetPayload.
func (p *Packet) SetPayloadRaw(b []byte) error {
	if err := p.checkPayload(b, 0); err != nil {
		return p.editError("payload", err)
	}
	p.replace(b)
	return nil
}

// setPayload replaces the packet by b, with body at an offset behind the headers.
func (p *Packet) setPayload(b, body []byte, at int) error {
	if err := p.checkPayload(b, p.ipVersion()); err != nil {
		return p.editError("payload", err)
	}
	if !p.isIP() {
		p.replace(b)
		return nil
	}
	var how ippkt.How
	if p.original.surplus && len(b) == p.original.len {
		how |= ippkt.KeepUDPLength
	}
	segments := p.SKBInfo()&SegmentationPending != 0
	if segments {
		how |= ippkt.Segments
	}
	completion, err := ippkt.Plan(b, how)
	switch {
	case err != nil:
		return p.editError("payload", err)
	case completion.Protocol == UDP && segments && p.hook <= HookInput:
		return p.editError("payload", errUDPSegments)
	case p.original.inside:
		return p.editError("payload", errInside)
	}
	p.replace(b)
	copy(p.payload[at:], body)
	completion.Apply(p.payload)
	return nil
}

var (
	errNoTransport = errors.New("the packet has no whole transport header; see Packet.Transport")

	// A replaced payload loses the mark that its checksum is partial. The kernel then segments a UDP
	// super-packet for a local socket with invalid checksums, whatever the field holds
	// (udp_rcv_segment). It segments one that it sends earlier, see ippkt.Segments.
	errUDPSegments = fmt.Errorf("a received UDP packet that is still to be segmented "+
		"cannot be replaced; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)

	// See transport.Conn.CutsReplacedUDP.
	errNoUDPSegments = fmt.Errorf("a UDP packet that is still to be segmented cannot be replaced "+
		"before Linux 6.12, which crashes or computes invalid checksums; add NoGSO to "+
		"Config.Flags: %w",
		errors.ErrUnsupported)

	// A replaced payload loses the mark that its checksum is partial, and the kernel does not say
	// where that checksum is.
	errInside = fmt.Errorf("the packet is a tunnel's, and only the kernel can complete "+
		"the checksum inside; add NoGSO to Config.Flags: %w", errors.ErrUnsupported)
)

const (
	ipv4HeaderLen = 20 // without options

	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
	etherTypeVLAN = 0x8100 // ETH_P_8021Q
	etherTypeQinQ = 0x88a8 // ETH_P_8021AD
)

// original is what the checks of a new payload need to know about the packet as it was queued. It
// is read before the payload is given out, which may then be edited in place.
type original struct {
	known bool
	len   int // of the payload
	// parsedLen is the length of the headers that the IP layer parsed before its hooks, behind
	// which the kernel continues; see ippkt.ParsedLen. It is 0 for the bridge family.
	parsedLen int
	// minLen is the shortest payload that nfqnl_mangle accepts: up to where the kernel believes the
	// transport header to be.
	minLen int
	// protocol is 0 if the headers cannot be read.
	protocol Protocol
	// maybeUDP says that the packet is UDP, or that its headers cannot be read.
	maybeUDP bool
	// surplus says that bytes follow a UDP datagram that are not part of it.
	surplus bool
	// inside says that a checksum inside a tunnel is not complete yet.
	inside bool
}

// rememberOriginal fills p.original once.
func (p *Packet) rememberOriginal() {
	if p.original.known {
		return
	}
	p.original = original{known: true, len: len(p.payload)}
	if !p.isIP() {
		return
	}
	p.original.minLen = ippkt.ParsedLen(p.payload)
	if p.family != FamilyBridge {
		p.original.parsedLen = p.original.minLen
	}
	l, err := ippkt.Parse(p.payload)
	if err != nil {
		p.original.maybeUDP = true
		return
	}
	p.original.protocol = l.Protocol
	p.original.maybeUDP = l.Protocol == UDP
	p.original.surplus = l.UDPSurplus(p.payload)
	if l.Version == 6 && (p.hook == HookOutput || p.hook == HookPostrouting) {
		// The sender set the transport header behind all extension headers. For forwarded packets the
		// kernel parsed only Hop-by-Hop Options; at postrouting a packet may be either.
		p.original.minLen = l.TransportHeaderOffset
	}
	p.original.inside = p.SKBInfo()&ChecksumNotReady != 0 &&
		l.PartialChecksumInside(p.payload, p.SKBInfo()&SegmentationPending != 0)
}

// checkPayload says why b cannot replace the packet, which must have an IP version unless that is 0.
// It fills p.original.
func (p *Packet) checkPayload(b []byte, version byte) error {
	switch {
	case p.Truncated() || !p.attrs.Has(nfqmsg.AttrPayload):
		return p.truncation()
	case len(b) > MaxPayload:
		return fmt.Errorf("%d bytes are more than the %d that a verdict can carry", len(b), MaxPayload)
	case len(b) == 0: // the kernel drops the packet and calls it success
		return errors.New("it is empty; return Drop to discard the packet")
	case version != 0 && b[0]>>4 != version:
		return fmt.Errorf("its IP version is %d, not %d as in the packet, and the receiver would "+
			"discard it", b[0]>>4, version)
	}
	switch p.rememberOriginal(); {
	case len(b) < p.original.minLen:
		return fmt.Errorf("its %d bytes are less than the %d of the headers in the packet, "+
			"and the kernel would drop it", len(b), p.original.minLen)
	case p.fixedHeaders() && ippkt.ParsedLen(b) != p.original.parsedLen:
		return fmt.Errorf("its IPv4 header, or IPv6 header with Hop-by-Hop Options, does not have "+
			"the %d bytes of the packet's, behind which the kernel continues; change options at "+
			"another hook", p.original.parsedLen)
	case p.original.maybeUDP && p.SKBInfo()&SegmentationPending != 0 &&
		p.queue != nil && !p.queue.conn.CutsReplacedUDP():
		return errNoUDPSegments
	}
	if mtu, too := p.exceedsMTU(b); too {
		return fmt.Errorf("its %d bytes exceed the MTU of %d of %s, and the kernel would not fragment "+
			"it; make it shorter, or clear Don't Fragment of IPv4", len(b), mtu, p.OutDevName())
	}
	return nil
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

// fixedHeaders reports whether the kernel relies on the length of the headers that it has parsed. It
// does in a packet that it is about to deliver, because it continues behind them, and for IPv4
// options that it completes after forwarding (ip_forward_options).
func (p *Packet) fixedHeaders() bool {
	switch {
	case p.original.parsedLen == 0:
		return false
	case p.hook == HookForward:
		return p.family == FamilyIPv4 && p.original.parsedLen > ipv4HeaderLen
	}
	return p.hook == HookInput
}

// exceedsMTU reports whether the kernel would answer b with an ICMP error because it is longer than
// the MTU of the outgoing interface (ip_fragment, ip6_fragment). Only packets that grow beyond it
// count: a longer one was reassembled, and the kernel fragments it again. At the hooks of local
// packets only TCP counts, because the kernel may fragment what other sockets send (ignore_df).
func (p *Packet) exceedsMTU(b []byte) (mtu int, exceeds bool) {
	switch {
	case len(b) <= max(p.original.len, ipv4HeaderLen) || p.SKBInfo()&SegmentationPending != 0:
		return 0, false
	case p.family == FamilyIPv4 && b[6]&0x40 == 0: // without Don't Fragment
		return 0, false
	case p.family == FamilyBridge || p.hook < HookForward:
		return 0, false
	case p.hook != HookForward && p.original.protocol != TCP:
		return 0, false
	}
	mtu = p.queue.link(p.OutDev()).MTU
	return mtu, mtu > 0 && p.original.len <= mtu && len(b) > mtu
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
