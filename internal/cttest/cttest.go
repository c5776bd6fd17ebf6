// SPDX-License-Identifier: GPL-2.0-or-later

// Package cttest makes conntrack entries for tests, as the kernel sends them.
package cttest

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Attr and ctText are an attribute, Nest is one that holds others.
func Attr(typ uint16, data ...byte) []byte { return nlwire.AppendAttr(nil, typ, data) }

// Text is an attribute that holds a string.
func Text(typ uint16, s string) []byte { return nlwire.AppendAttr(nil, typ, []byte(s)) }

// Nest is an attribute that holds others.
func Nest(typ uint16, attrs ...[]byte) []byte {
	b := nlwire.AppendNest(nil, typ)
	for _, a := range attrs {
		b = append(b, a...)
	}
	nlwire.EndNest(b, 0)
	return b
}

// IP is the part of a tuple with the addresses.
func IP(src, dst string) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is4() {
		return Nest(ctattr.TupleIP, Attr(ctattr.IPv4Src, s.AsSlice()...),
			Attr(ctattr.IPv4Dst, d.AsSlice()...))
	}
	return Nest(ctattr.TupleIP, Attr(ctattr.IPv6Src, s.AsSlice()...),
		Attr(ctattr.IPv6Dst, d.AsSlice()...))
}

// Ports is the part of a tuple with the ports of a protocol.
func Ports(proto uint8, src, dst uint16) []byte {
	return Nest(ctattr.TupleProto, Attr(ctattr.ProtoNum, proto),
		Attr(ctattr.ProtoSrcPort, be16(src)...), Attr(ctattr.ProtoDstPort, be16(dst)...))
}

// ICMP is the part of a tuple with an ICMP query.
func ICMP(id uint16, typ, code uint8) []byte {
	return Nest(ctattr.TupleProto, Attr(ctattr.ProtoNum, 1),
		Attr(ctattr.ProtoICMPID, be16(id)...), Attr(ctattr.ProtoICMPType,
			typ), Attr(ctattr.ProtoICMPCode, code))
}

// ICMPv6 is the part of a tuple with an ICMPv6 query.
func ICMPv6(id uint16, typ, code uint8) []byte {
	return Nest(ctattr.TupleProto, Attr(ctattr.ProtoNum, 58),
		Attr(ctattr.ProtoICMPv6ID, be16(id)...), Attr(ctattr.ProtoICMPv6Type,
			typ), Attr(ctattr.ProtoICMPv6Code, code))
}

// Told is everything that an entry has.
type Told struct {
	Original, Reply, Master             conntrack.Tuple
	OriginalOK, ReplyOK, MasterOK       bool
	Zone                                uint16
	ID                                  uint32
	IDOK                                bool
	Status                              conntrack.Status
	Mark                                uint32
	Labels                              string
	Timeout                             time.Duration
	TimeoutOK                           bool
	TCP                                 conntrack.TCPInfo
	TCPOK                               bool
	SCTP                                conntrack.SCTPInfo
	SCTPOK                              bool
	DCCP                                conntrack.DCCPInfo
	DCCPOK                              bool
	Helper, HelperInfo, SecurityContext string
	OriginalAdj, ReplyAdj               conntrack.SeqAdj
	AdjOK                               bool
	Synproxy                            conntrack.Synproxy
	SynproxyOK                          bool
	OriginalCount, ReplyCount           conntrack.Counters
	CountOK                             bool
	Start, Stop                         int64 // Unix nanoseconds
	TimesOK                             bool
}

// Tell calls all methods of an entry.
func Tell(e conntrack.Entry) (v Told) {
	v.Original, v.OriginalOK = e.Original()
	v.Reply, v.ReplyOK = e.Reply()
	v.Master, v.MasterOK = e.Master()
	v.Zone = e.Zone()
	v.ID, v.IDOK = e.ID()
	v.Status = e.Status()
	v.Mark = e.Mark()
	v.Labels = string(e.Labels())
	v.Timeout, v.TimeoutOK = e.Timeout()
	v.TCP, v.TCPOK = e.TCP()
	v.SCTP, v.SCTPOK = e.SCTP()
	v.DCCP, v.DCCPOK = e.DCCP()
	v.Helper, v.HelperInfo, v.SecurityContext = string(e.Helper()), string(e.HelperInfo()),
		string(e.SecurityContext())
	v.OriginalAdj, v.ReplyAdj, v.AdjOK = e.SeqAdj()
	v.Synproxy, v.SynproxyOK = e.Synproxy()
	v.OriginalCount, v.ReplyCount, v.CountOK = e.Counters()
	start, stop, ok := e.Times()
	if v.TimesOK = ok; !start.IsZero() {
		v.Start = start.UnixNano()
	}
	if !stop.IsZero() {
		v.Stop = stop.UnixNano()
	}
	return v
}

// Tuple returns a tuple of a protocol with ports.
func Tuple(src string, srcPort uint16, dst string, dstPort uint16,
	protocol conntrack.Protocol) conntrack.Tuple {
	return conntrack.Tuple{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst),
		SrcPort: srcPort, DstPort: dstPort, Protocol: protocol}
}

func zoned(zone uint16, t conntrack.Tuple) conntrack.Tuple {
	t.Zone = zone
	return t
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
