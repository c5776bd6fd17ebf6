// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Tuple is what identifies the packets of one direction of a connection (struct
// nf_conntrack_tuple). Tuples can be compared and used as keys of a map. What the
// protocol does not have is zero.
type Tuple struct {
	Src, Dst netip.Addr // where packets come from and go to
	Protocol Protocol

	// SrcPort and DstPort are the ports of TCP, UDP and SCTP, up to Linux 6.16 of DCCP and up to
	// 7.0 of UDP-Lite, and the keys of GRE.
	SrcPort, DstPort uint16

	// ICMPType, ICMPCode and ICMPID are those of an ICMP or ICMPv6 query.
	ICMPType, ICMPCode uint8
	ICMPID             uint16

	// Zone is the conntrack zone of the direction, 0 being the default.
	Zone uint16
}

// String returns protocol, source and destination: "tcp 192.0.2.1:1024 > 192.0.2.2:80".
func (t Tuple) String() string {
	var s strings.Builder
	src, dst := t.Src.String(), t.Dst.String()
	switch t.Protocol {
	case ICMP, ICMPv6:
		dst += " type " + strconv.Itoa(int(t.ICMPType)) + " code " + strconv.Itoa(int(t.ICMPCode)) +
			" id " + strconv.Itoa(int(t.ICMPID))
	default:
		if t.SrcPort != 0 || t.DstPort != 0 {
			src = netip.AddrPortFrom(t.Src, t.SrcPort).String()
			dst = netip.AddrPortFrom(t.Dst, t.DstPort).String()
		}
	}
	s.WriteString(t.Protocol.String())
	s.WriteString(" " + src + " > " + dst)
	if t.Zone != 0 {
		s.WriteString(" zone " + strconv.Itoa(int(t.Zone)))
	}
	return s.String()
}

// parseTuple reads a CTA_TUPLE_* (ctnetlink_dump_tuples). zone is that of an
// entry which has one for both directions.
func parseTuple(nest []byte, zone uint16) (t Tuple, ok bool) {
	if t.Src, t.Dst, ok = parseTupleIP(findAttr(nest, ctaTupleIP, 0)); !ok {
		return Tuple{}, false
	}
	if !t.parseProto(findAttr(nest, ctaTupleProto, 0)) {
		return Tuple{}, false
	}
	t.Zone = zone
	if d := findAttr(nest, ctaTupleZone, 2); d != nil {
		t.Zone = binary.BigEndian.Uint16(d)
	}
	return t, true
}

func parseTupleIP(nest []byte) (src, dst netip.Addr, ok bool) {
	if s, d := findAttr(nest, ctaIPv4Src, 4), findAttr(nest, ctaIPv4Dst, 4); s != nil && d != nil {
		return netip.AddrFrom4([4]byte(s)), netip.AddrFrom4([4]byte(d)), true
	}
	if s, d := findAttr(nest, ctaIPv6Src, 16), findAttr(nest, ctaIPv6Dst, 16); s != nil && d != nil {
		return netip.AddrFrom16([16]byte(s)), netip.AddrFrom16([16]byte(d)), true
	}
	return src, dst, false
}

func (t *Tuple) parseProto(nest []byte) (ok bool) {
	for {
		typ, d, rest, more := nlwire.NextAttr(nest)
		if !more {
			return ok && !nlwire.Malformed(nest)
		}
		nest = rest
		if len(d) == 0 {
			continue
		}
		switch typ {
		case ctaProtoNum:
			t.Protocol, ok = Protocol(d[0]), true
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			t.ICMPType = d[0]
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			t.ICMPCode = d[0]
		}
		if len(d) < 2 {
			continue
		}
		switch v := binary.BigEndian.Uint16(d); typ {
		case ctaProtoSrcPort:
			t.SrcPort = v
		case ctaProtoDstPort:
			t.DstPort = v
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			t.ICMPID = v
		}
	}
}

// appendTuple appends a tuple of a protocol with ports.
func appendTuple(b []byte, typ uint16, t Tuple) []byte {
	start := len(b)
	b = nlwire.AppendNest(b, typ)

	ip := len(b)
	b = nlwire.AppendNest(b, ctaTupleIP)
	if t.Src.Is4() {
		src, dst := t.Src.As4(), t.Dst.As4()
		b = nlwire.AppendAttr(b, ctaIPv4Src, src[:])
		b = nlwire.AppendAttr(b, ctaIPv4Dst, dst[:])
	} else {
		src, dst := t.Src.As16(), t.Dst.As16()
		b = nlwire.AppendAttr(b, ctaIPv6Src, src[:])
		b = nlwire.AppendAttr(b, ctaIPv6Dst, dst[:])
	}
	nlwire.EndNest(b, ip)

	proto := len(b)
	b = nlwire.AppendNest(b, ctaTupleProto)
	b = nlwire.AppendAttr(b, ctaProtoNum, []byte{uint8(t.Protocol)})
	b = nlwire.AppendAttrU16(b, ctaProtoSrcPort, t.SrcPort)
	b = nlwire.AppendAttrU16(b, ctaProtoDstPort, t.DstPort)
	nlwire.EndNest(b, proto)

	nlwire.EndNest(b, start)
	return b
}
