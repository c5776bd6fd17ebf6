// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapfilter"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/gopacket/gopacket/layers"
)

// replayHandler decides packets as the flags of replay say.
type replayHandler struct {
	rule    rules.Rule
	verdict nfqueue.Verdict
	mark    *uint32            // set with the verdict, nil for none
	filter  *pcapfilter.Filter // which packets are taken, nil for all
	last    *packetview.Record // the last packet
	matches bool               // whether filter does
}

// ServePacket accepts what the rule does not match: with a kernel it would not be here.
func (h *replayHandler) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	h.last = packetview.Of(p)
	h.matches = h.filter != nil && h.filter.Match(pcapfilter.Of(p))
	if !matches(h.rule, p) {
		h.last.Unqueued, h.last.Verdict = true, nfqueue.Accept
		return nfqueue.Accept
	}
	if h.mark != nil {
		p.SetMark(*h.mark)
	}
	h.last.Verdict, h.last.SetMark = h.verdict, h.mark
	return h.verdict
}

// record returns what there is to show of the packet that was replayed last.
func (h *replayHandler) record(r nfqueuetest.Replayed) *packetview.Record {
	record := h.last
	if !comes(r) { // and was not served
		record = &packetview.Record{
			Unqueued: true, Family: r.Spec.Family, Hook: r.Spec.Hook, EtherType: r.Spec.EtherType,
			In: r.Spec.InDevName, PhysIn: r.Spec.PhysInDevName,
			Data: r.Spec.Payload, Length: max(r.Spec.FullLen, len(r.Spec.Payload)),
		}
	}
	if r.Cause == nfqueuetest.UnknownLink {
		record.LinkType = linkName(r.LinkType)
	}
	record.Number, record.Time = r.Number, r.Spec.Time
	if !record.Unqueued {
		record.Took = r.Took
	}
	return record
}

// comes reports whether a packet of the capture comes to the hook.
func comes(r nfqueuetest.Replayed) bool {
	return r.Cause != nfqueuetest.NotIP && r.Cause != nfqueuetest.UnknownLink
}

// linkName is the number of a link type, with a name if gopacket has one.
func linkName(t uint16) string {
	number := strconv.Itoa(int(t))
	if name := layers.LinkType(t).String(); name != "" && name != "UnknownLinkType" {
		return number + " (" + name + ")"
	}
	return number
}

// matches reports whether a kernel with the rule would queue the packet.
func matches(r rules.Rule, p *nfqueue.Packet) bool {
	flow, ok := p.Flow()
	isIP := ok &&
		(p.Family() != nfqueue.FamilyBridge || p.EtherType() == 0x0800 || p.EtherType() == 0x86dd)
	protocol, known := protocolOf(flow, p.Payload())
	if r.Protocol != 0 && !known {
		return false
	}
	if onIP := r.Protocol != 0 || len(r.Src)+len(r.Dst) > 0; onIP && !isIP ||
		!sameFamily(r.Src, flow.Src) || !sameFamily(r.Dst, flow.Dst) || !carries(r, flow.Src) {
		return false
	}
	in, out := p.InDevName(), p.OutDevName()
	if p.Family() == nfqueue.FamilyBridge {
		in, out = p.PhysInDevName(), p.PhysOutDevName()
	}
	if r.Family != 0 && r.Family != p.Family() || len(r.SrcPort)+len(r.DstPort)+len(r.Port) > 0 &&
		!flow.HasPorts() || r.ICMPType != (rules.ICMPType{}) && flow.NoTransport {
		return false
	}
	// is reports whether a field is as the rule has it, if the rule has it.
	is := func(m rules.Match, has, equal bool) bool { return !has || equal != (r.Not&m != 0) }
	return is(rules.MatchInDevName, r.InDevName != "", r.InDevName == in) &&
		is(rules.MatchOutDevName, r.OutDevName != "", r.OutDevName == out) &&
		is(rules.MatchProtocol, r.Protocol != 0, r.Protocol == protocol) &&
		is(rules.MatchSrc, len(r.Src) > 0, contain(r.Src, flow.Src)) &&
		is(rules.MatchDst, len(r.Dst) > 0, contain(r.Dst, flow.Dst)) &&
		is(rules.MatchSrcPort, len(r.SrcPort) > 0, r.SrcPort.Contains(flow.SrcPort)) &&
		is(rules.MatchDstPort, len(r.DstPort) > 0, r.DstPort.Contains(flow.DstPort)) &&
		is(rules.MatchPort, len(r.Port) > 0,
			r.Port.Contains(flow.SrcPort) || r.Port.Contains(flow.DstPort)) &&
		is(rules.MatchICMPType, r.ICMPType != (rules.ICMPType{}),
			r.ICMPType == rules.NewICMPType(flow.ICMPType)) &&
		is(rules.MatchMark, r.MarkMask != 0, p.Mark()&r.MarkMask == r.Mark)
}

// protocolOf returns the protocol that nf_tables knows: in IPv6 AH is not passed over, and a later
// fragment has none if it begins with an extension header.
func protocolOf(f nfqueue.Flow, b []byte) (p nfqueue.Protocol, known bool) {
	if !f.Src.Is6() {
		return f.Protocol, true
	}
	p = nfqueue.Protocol(b[6])
	for at, later := 40, false; ; {
		length := 8
		switch p {
		case 0, 43, 44, 60: // NEXTHDR_HOP, _ROUTING, _FRAGMENT and _DEST of net/ipv6.h
		default:
			return p, true
		}
		if later || len(b) < at+8 {
			return 0, false
		}
		if p == 44 {
			later = binary.BigEndian.Uint16(b[at+2:])>>3 > 0
		} else {
			length *= int(b[at+1]) + 1
		}
		p, at = nfqueue.Protocol(b[at]), at+length
	}
}

// carries reports whether packets of the family of an address match, by the rule's protocol.
func carries(r rules.Rule, a netip.Addr) bool {
	return r.Not&rules.MatchProtocol != 0 || (r.Protocol != rules.ICMP || a.Is4()) &&
		(r.Protocol != rules.ICMPv6 || a.Is6())
}

// contain reports whether one of the prefixes contains an address.
func contain(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// sameFamily reports whether an address is of the family of the prefixes.
func sameFamily(prefixes []netip.Prefix, a netip.Addr) bool {
	return len(prefixes) == 0 || prefixes[0].Addr().Is4() == a.Is4()
}
