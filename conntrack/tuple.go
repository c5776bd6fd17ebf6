// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Protocol is the number of an upper-layer protocol, the same type as nfqueue.Protocol, which
// package nfqueue has constants for.
type Protocol = ippkt.Protocol

// Tuple identifies the packets of one direction of a connection (struct nf_conntrack_tuple). It is
// comparable, and may be the key of a map. Fields that the protocol does not have are zero. The
// fields are those of nfqueue.Flow, whose method Tuple converts.
type Tuple struct {
	// Src and Dst are where packets come from and go to.
	Src, Dst netip.Addr

	// SrcPort and DstPort are the ports of TCP, UDP and SCTP, up to Linux 6.16 of DCCP and up to
	// 7.0 of UDP-Lite, and the keys of GRE.
	SrcPort, DstPort uint16

	// ICMPID, ICMPType and ICMPCode are those of an ICMP or ICMPv6 query.
	ICMPID             uint16
	ICMPType, ICMPCode uint8

	Protocol Protocol

	// Zone is the conntrack zone of the direction, 0 by default.
	Zone uint16
}

// flow returns what a Tuple has in common with the flow of a packet.
func (t Tuple) flow() ippkt.Flow {
	return ippkt.Flow{
		Src: t.Src, Dst: t.Dst, SrcPort: t.SrcPort, DstPort: t.DstPort,
		ICMPID: t.ICMPID, ICMPType: t.ICMPType, ICMPCode: t.ICMPCode, Protocol: t.Protocol,
	}
}

// SrcAddrPort returns Src and SrcPort.
func (t Tuple) SrcAddrPort() netip.AddrPort { return netip.AddrPortFrom(t.Src, t.SrcPort) }

// DstAddrPort returns Dst and DstPort.
func (t Tuple) DstAddrPort() netip.AddrPort { return netip.AddrPortFrom(t.Dst, t.DstPort) }

// String returns protocol, source and destination: "tcp 192.0.2.1:1024 > 192.0.2.2:80".
func (t Tuple) String() string {
	s := t.flow().String()
	if t.Zone != 0 {
		s += " zone " + strconv.Itoa(int(t.Zone))
	}
	return s
}

// parseTuple reads a CTA_TUPLE_* (ctnetlink_dump_tuples). A tuple without a zone of its own has
// the given one.
func parseTuple(nest []byte, zone uint16) (t Tuple, ok bool) {
	if t.Src, t.Dst, ok = parseTupleIP(ctattr.Find(nest, ctattr.TupleIP, 0)); !ok {
		return Tuple{}, false
	}
	if !t.parseProto(ctattr.Find(nest, ctattr.TupleProto, 0)) {
		return Tuple{}, false
	}
	t.Zone = zone
	if d := ctattr.Find(nest, ctattr.TupleZone, 2); d != nil {
		t.Zone = binary.BigEndian.Uint16(d)
	}
	return t, true
}

func parseTupleIP(nest []byte) (src, dst netip.Addr, ok bool) {
	if s, d := ctattr.Find(nest, ctattr.IPv4Src, 4), ctattr.Find(nest, ctattr.IPv4Dst, 4); s != nil &&
		d != nil {
		return netip.AddrFrom4([4]byte(s)), netip.AddrFrom4([4]byte(d)), true
	}
	if s, d := ctattr.Find(nest, ctattr.IPv6Src, 16),
		ctattr.Find(nest, ctattr.IPv6Dst, 16); s != nil && d != nil {
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
		case ctattr.ProtoNum:
			t.Protocol, ok = Protocol(d[0]), true
		case ctattr.ProtoICMPType, ctattr.ProtoICMPv6Type:
			t.ICMPType = d[0]
		case ctattr.ProtoICMPCode, ctattr.ProtoICMPv6Code:
			t.ICMPCode = d[0]
		}
		if len(d) < 2 {
			continue
		}
		switch v := binary.BigEndian.Uint16(d); typ {
		case ctattr.ProtoSrcPort:
			t.SrcPort = v
		case ctattr.ProtoDstPort:
			t.DstPort = v
		case ctattr.ProtoICMPID, ctattr.ProtoICMPv6ID:
			t.ICMPID = v
		}
	}
}
