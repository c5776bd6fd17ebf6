// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// ctAttr and ctText are an attribute, ctNest is one that holds others.
func ctAttr(typ uint16, data ...byte) []byte { return nlwire.AppendAttr(nil, typ, data) }

func ctText(typ uint16, s string) []byte { return nlwire.AppendAttr(nil, typ, []byte(s)) }

func ctNest(typ uint16, attrs ...[]byte) []byte {
	b := nlwire.AppendNest(nil, typ)
	for _, a := range attrs {
		b = append(b, a...)
	}
	nlwire.EndNest(b, 0)
	return b
}

func ctIP(src, dst string) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is4() {
		return ctNest(ctaTupleIP, ctAttr(ctaIPv4Src, s.AsSlice()...), ctAttr(ctaIPv4Dst, d.AsSlice()...))
	}
	return ctNest(ctaTupleIP, ctAttr(ctaIPv6Src, s.AsSlice()...), ctAttr(ctaIPv6Dst, d.AsSlice()...))
}

func ctPorts(proto uint8, src, dst uint16) []byte {
	return ctNest(ctaTupleProto, ctAttr(ctaProtoNum, proto), ctAttr(ctaProtoSrcPort, be16(src)...), ctAttr(ctaProtoDstPort, be16(dst)...))
}

func ctICMP(id uint16, typ, code uint8) []byte {
	return ctNest(ctaTupleProto, ctAttr(ctaProtoNum, 1),
		ctAttr(ctaProtoICMPID, be16(id)...), ctAttr(ctaProtoICMPType, typ), ctAttr(ctaProtoICMPCode, code))
}

func ctICMPv6(id uint16, typ, code uint8) []byte {
	return ctNest(ctaTupleProto, ctAttr(ctaProtoNum, 58),
		ctAttr(ctaProtoICMPv6ID, be16(id)...), ctAttr(ctaProtoICMPv6Type, typ), ctAttr(ctaProtoICMPv6Code, code))
}

// tracked is a packet with an entry made of the attributes.
func tracked(t testing.TB, state ConnState, attrs ...[]byte) *Packet {
	t.Helper()
	p, err := decoded(packetMessage(FamilyIPv4, 3,
		attr{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookInput)},
		attr{nfqmsg.AttrCT | nlwire.Nested, ctNest(0, attrs...)[nlwire.AttrHeaderLen:]},
		attr{nfqmsg.AttrCTInfo, be32(uint32(state))},
		attr{nfqmsg.AttrPayload, udpPacket},
	))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func entryFrom(t testing.TB, p *Packet) ConntrackEntry {
	t.Helper()
	e, ok := p.Conntrack()
	if !ok {
		t.Fatal("the packet has no entry")
	}
	return e
}

// told is everything that an entry tells.
type told struct {
	Original, Reply, Master             Tuple
	OriginalOK, ReplyOK, MasterOK       bool
	Zone                                uint16
	ID                                  uint32
	IDOK                                bool
	Status                              ConnStatus
	Mark                                uint32
	Labels                              string
	Timeout                             time.Duration
	TimeoutOK                           bool
	TCP                                 TCPInfo
	TCPOK                               bool
	SCTP                                SCTPInfo
	SCTPOK                              bool
	DCCP                                DCCPInfo
	DCCPOK                              bool
	Helper, HelperInfo, SecurityContext string
	OriginalAdj, ReplyAdj               SeqAdj
	AdjOK                               bool
	Synproxy                            Synproxy
	SynproxyOK                          bool
	OriginalCount, ReplyCount           Counters
	CountOK                             bool
	Start, Stop                         int64 // Unix nanoseconds
	TimesOK                             bool
}

func tell(e ConntrackEntry) (v told) {
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
	v.Helper, v.HelperInfo, v.SecurityContext = string(e.Helper()), string(e.HelperInfo()), string(e.SecurityContext())
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

func ctTuple(src string, srcPort uint16, dst string, dstPort uint16, proto Protocol) Tuple {
	return Tuple{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: srcPort, DstPort: dstPort, Protocol: proto}
}

// conntrackCases are entries as the kernel sends them, in its order of attributes.
var conntrackCases = []struct {
	name  string
	state ConnState
	attrs [][]byte
	want  told
}{
	{
		name: "TCP over IPv4, established, translated, with everything", state: ConnEstablishedReply,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("192.0.2.1", "198.51.100.1"), ctPorts(6, 40000, 21)),
			ctNest(ctaTupleReply, ctIP("203.0.113.9", "198.51.100.77"), ctPorts(6, 2121, 1024)),
			ctAttr(ctaZone, be16(7)...),
			ctAttr(ctaID, be32(0xcafe0001)...),
			ctAttr(ctaStatus, be32(0x25df)...),
			ctAttr(ctaTimeout, be32(431999)...),
			ctNest(ctaProtoinfo, ctNest(ctaProtoinfoTCP,
				ctAttr(ctaTCPState, 3), ctAttr(ctaTCPWScaleOrig, 7), ctAttr(ctaTCPWScaleReply, 9),
				ctAttr(ctaTCPFlagsOrig, 0x23, 0), ctAttr(ctaTCPFlagsReply, 0x0a, 0))),
			ctNest(ctaCountersOrig, ctAttr(ctaCountersPackets, be64(3)...), ctAttr(ctaCountersBytes, be64(1<<40)...)),
			ctNest(ctaCountersReply, ctAttr(ctaCountersPackets, be64(2)...), ctAttr(ctaCountersBytes, be64(120)...)),
			ctNest(ctaTimestamp, ctAttr(ctaTimestampStart, be64(1700000000123456789)...), ctAttr(ctaTimestampStop, be64(1700000001000000000)...)),
			ctNest(ctaHelp, ctText(ctaHelpName, "ftp\x00"), ctAttr(ctaHelpInfo, 1, 2, 3, 4, 5)),
			ctNest(ctaSecCtx, ctText(ctaSecCtxName, "unlabeled\x00")),
			ctNest(ctaTupleMaster, ctIP("192.0.2.1", "198.51.100.1"), ctPorts(6, 39999, 22)),
			ctNest(ctaSeqAdjOrig, ctAttr(ctaSeqAdjCorrectionPos, be32(0x80000001)...), ctAttr(ctaSeqAdjOffsetBefore, be32(4)...), ctAttr(ctaSeqAdjOffsetAfter, be32(0xfffffffd)...)),
			ctNest(ctaSeqAdjReply, ctAttr(ctaSeqAdjCorrectionPos, be32(5)...), ctAttr(ctaSeqAdjOffsetBefore, be32(0xffffffff)...), ctAttr(ctaSeqAdjOffsetAfter, be32(6)...)),
			ctNest(ctaSynproxy, ctAttr(ctaSynproxyISN, be32(11)...), ctAttr(ctaSynproxyITS, be32(12)...), ctAttr(ctaSynproxyTSOff, be32(13)...)),
			ctAttr(ctaMark, be32(0xdeadbeef)...),
			ctText(ctaLabels, "0123456789abcdef"),
			ctText(99, "from a newer kernel"),
		},
		want: told{
			Original:   Tuple{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), 6, 40000, 21, 0, 0, 0, 7},
			OriginalOK: true,
			Reply:      Tuple{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("198.51.100.77"), 6, 2121, 1024, 0, 0, 0, 7},
			ReplyOK:    true,
			Master:     ctTuple("192.0.2.1", 39999, "198.51.100.1", 22, 6), MasterOK: true,
			Zone: 7, ID: 0xcafe0001, IDOK: true,
			Status: StatusExpected | StatusSeenReply | StatusAssured | StatusConfirmed | StatusSrcNAT | StatusSeqAdjust |
				StatusSrcNATDone | StatusDstNATDone | StatusFixedTimeout | StatusHelper,
			Mark: 0xdeadbeef, Labels: "0123456789abcdef",
			Timeout: 431999 * time.Second, TimeoutOK: true,
			TCP: TCPInfo{State: TCPEstablished, OriginalScale: 7, ReplyScale: 9,
				OriginalFlags: TCPWindowScale | TCPSACKPerm | TCPMaxACKSet, ReplyFlags: TCPSACKPerm | TCPBeLiberal},
			TCPOK:  true,
			Helper: "ftp", HelperInfo: "\x01\x02\x03\x04\x05", SecurityContext: "unlabeled",
			OriginalAdj: SeqAdj{0x80000001, 4, -3}, ReplyAdj: SeqAdj{5, -1, 6}, AdjOK: true,
			Synproxy: Synproxy{11, 12, 13}, SynproxyOK: true,
			OriginalCount: Counters{3, 1 << 40}, ReplyCount: Counters{2, 120}, CountOK: true,
			Start: 1700000000123456789, Stop: 1700000001000000000, TimesOK: true,
		},
	},
	{
		name: "UDP over IPv6, new, a zone for the original direction only", state: ConnNew,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("2001:db8::1", "2001:db8::2"), ctPorts(17, 5353, 53), ctAttr(ctaTupleZone, be16(300)...)),
			ctNest(ctaTupleReply, ctIP("2001:db8::2", "2001:db8::1"), ctPorts(17, 53, 5353)),
			ctAttr(ctaID, be32(0)...),
			ctAttr(ctaStatus, be32(0)...),
			ctAttr(ctaTimeout, be32(0)...),
			ctAttr(ctaMark, be32(0)...),
		},
		want: told{
			Original:   Tuple{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 17, 5353, 53, 0, 0, 0, 300},
			OriginalOK: true,
			Reply:      ctTuple("2001:db8::2", 53, "2001:db8::1", 5353, 17), ReplyOK: true,
			IDOK: true, TimeoutOK: true,
		},
	},
	{
		name: "ICMP echo, related", state: ConnRelated,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("192.0.2.1", "192.0.2.2"), ctICMP(0xabcd, 8, 0)),
			ctNest(ctaTupleReply, ctIP("192.0.2.2", "192.0.2.1"), ctICMP(0xabcd, 0, 0)),
			ctNest(ctaTimestamp, ctAttr(ctaTimestampStart, be64(0)...)),
		},
		want: told{
			Original:   Tuple{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"), Protocol: 1, ICMPType: 8, ICMPID: 0xabcd},
			OriginalOK: true,
			Reply:      Tuple{Src: netip.MustParseAddr("192.0.2.2"), Dst: netip.MustParseAddr("192.0.2.1"), Protocol: 1, ICMPID: 0xabcd},
			ReplyOK:    true,
			TimesOK:    true,
		},
	},
	{
		name: "ICMPv6 echo, related reply", state: ConnRelatedReply,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("fe80::1", "ff02::1"), ctICMPv6(9, 128, 3)),
			ctNest(ctaTupleReply, ctIP("ff02::1", "fe80::1"), ctICMPv6(9, 129, 0)),
		},
		want: told{
			Original:   Tuple{Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::1"), Protocol: 58, ICMPType: 128, ICMPCode: 3, ICMPID: 9},
			OriginalOK: true,
			Reply:      Tuple{Src: netip.MustParseAddr("ff02::1"), Dst: netip.MustParseAddr("fe80::1"), Protocol: 58, ICMPType: 129, ICMPID: 9},
			ReplyOK:    true,
		},
	},
	{
		name: "SCTP over IPv4, established", state: ConnEstablished,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("192.0.2.1", "192.0.2.2"), ctPorts(132, 1, 65535)),
			ctNest(ctaTupleReply, ctIP("192.0.2.2", "192.0.2.1"), ctPorts(132, 65535, 1)),
			ctNest(ctaProtoinfo, ctNest(ctaProtoinfoSCTP,
				ctAttr(ctaSCTPState, 4), ctAttr(ctaSCTPVTagOrig, be32(0x11223344)...), ctAttr(ctaSCTPVTagReply, be32(0x55667788)...))),
		},
		want: told{
			Original: ctTuple("192.0.2.1", 1, "192.0.2.2", 65535, 132), OriginalOK: true,
			Reply: ctTuple("192.0.2.2", 65535, "192.0.2.1", 1, 132), ReplyOK: true,
			SCTP: SCTPInfo{SCTPEstablished, 0x11223344, 0x55667788}, SCTPOK: true,
		},
	},
	{
		name: "DCCP over IPv6", state: ConnEstablished,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("::1", "::2"), ctPorts(33, 1, 2)),
			ctNest(ctaTupleReply, ctIP("::2", "::1"), ctPorts(33, 2, 1)),
			ctNest(ctaProtoinfo, ctNest(ctaProtoinfoDCCP,
				ctAttr(ctaDCCPState, 4), ctAttr(ctaDCCPRole, 1), ctAttr(ctaDCCPHandshakeSeq, be64(0x123456789abc)...))),
		},
		want: told{
			Original: ctTuple("::1", 1, "::2", 2, 33), OriginalOK: true,
			Reply: ctTuple("::2", 2, "::1", 1, 33), ReplyOK: true,
			DCCP: DCCPInfo{DCCPOpen, true, 0x123456789abc}, DCCPOK: true,
		},
	},
	{
		name: "a protocol without ports", state: ConnNew,
		attrs: [][]byte{
			ctNest(ctaTupleOrig, ctIP("192.0.2.1", "192.0.2.2"), ctNest(ctaTupleProto, ctAttr(ctaProtoNum, 50))),
			ctNest(ctaTupleReply, ctIP("192.0.2.2", "192.0.2.1"), ctNest(ctaTupleProto, ctAttr(ctaProtoNum, 50))),
		},
		want: told{
			Original: ctTuple("192.0.2.1", 0, "192.0.2.2", 0, 50), OriginalOK: true,
			Reply: ctTuple("192.0.2.2", 0, "192.0.2.1", 0, 50), ReplyOK: true,
		},
	},
	{name: "nothing", state: ConnNew},
}

func TestConntrack(t *testing.T) {
	for _, c := range conntrackCases {
		t.Run(c.name, func(t *testing.T) {
			p := tracked(t, c.state, c.attrs...)
			if s, ok := p.ConnState(); s != c.state || !ok {
				t.Errorf("state %v, %v; want %v", s, ok, c.state)
			}
			got := tell(entryFrom(t, p))
			g, w := reflect.ValueOf(got), reflect.ValueOf(c.want)
			for i := range g.NumField() {
				if g, w := g.Field(i).Interface(), w.Field(i).Interface(); g != w {
					t.Errorf("%s = %+v, want %+v", reflect.TypeOf(got).Field(i).Name, g, w)
				}
			}
			if c.want.Labels == "" && entryFrom(t, p).Labels() != nil {
				t.Error("labels are not nil where there are none")
			}
		})
	}
}

func TestNoConntrack(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7, etherTypeIPv4, HookInput)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Conntrack(); ok {
		t.Error("an entry came out of nothing")
	}
	if s, ok := p.ConnState(); ok {
		t.Errorf("state %v came out of nothing", s)
	}
}

// TestConntrackSurvivesClone: the entry of a cloned packet has memory of its own.
func TestConntrackSurvivesClone(t *testing.T) {
	c := conntrackCases[0]
	p := tracked(t, c.state, c.attrs...)
	clone := p.Clone()
	clear(p.msg)
	if got := tell(entryFrom(t, clone)); got != c.want {
		t.Errorf("the clone's entry is %+v, want %+v", got, c.want)
	}
}

// TestMalformedConntrack: what cannot be read is absent, whatever surrounds it is not.
func TestMalformedConntrack(t *testing.T) {
	orig := ctNest(ctaTupleOrig, ctIP("192.0.2.1", "198.51.100.1"), ctPorts(6, 1, 2))
	mark := ctAttr(ctaMark, be32(5)...)
	overlong := nlwire.AppendAttrHeader(nil, ctaStatus, 100)
	short := nlwire.AppendAttrHeader(nil, ctaStatus, -1)

	t.Run("the nest", func(t *testing.T) {
		for name, bad := range map[string][]byte{"beyond the end": overlong, "shorter than its header": short} {
			p := tracked(t, ConnNew, orig, mark, bad)
			if e, ok := p.Conntrack(); ok {
				t.Errorf("attribute %s: entry %+v", name, tell(e))
			}
			if err := p.SetConnMark(1, 1); err == nil {
				t.Errorf("attribute %s: an entry that cannot be read is changed", name)
			}
		}
	})
	t.Run("integers too short", func(t *testing.T) {
		e := entryFrom(t, tracked(t, ConnNew, orig, ctAttr(ctaStatus, 1, 2, 3), ctAttr(ctaID, 1), ctAttr(ctaTimeout, 1, 2), ctAttr(ctaZone, 1),
			ctText(ctaLabels, "15 bytes of 16."), ctAttr(ctaMark), mark))
		got := tell(e)
		if want := (told{Original: ctTuple("192.0.2.1", 1, "198.51.100.1", 2, 6), OriginalOK: true, Mark: 5}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	ip4, ports := ctIP("192.0.2.1", "198.51.100.1"), ctPorts(6, 1, 2)
	for name, nest := range map[string][]byte{
		"without addresses":             ctNest(ctaTupleOrig, ports),
		"without a protocol":            ctNest(ctaTupleOrig, ip4),
		"without a destination":         ctNest(ctaTupleOrig, ctNest(ctaTupleIP, ctAttr(ctaIPv4Src, 1, 2, 3, 4)), ports),
		"with a short address":          ctNest(ctaTupleOrig, ctNest(ctaTupleIP, ctAttr(ctaIPv4Src, 1, 2, 3), ctAttr(ctaIPv4Dst, 1, 2, 3, 4)), ports),
		"with a short IPv6 address":     ctNest(ctaTupleOrig, ctNest(ctaTupleIP, ctAttr(ctaIPv6Src, 1, 2, 3, 4), ctAttr(ctaIPv6Dst, 1, 2, 3, 4)), ports),
		"with mixed addresses":          ctNest(ctaTupleOrig, ctNest(ctaTupleIP, ctAttr(ctaIPv4Src, 1, 2, 3, 4), ctAttr(ctaIPv6Dst, make([]byte, 16)...)), ports),
		"with an empty protocol number": ctNest(ctaTupleOrig, ip4, ctNest(ctaTupleProto, ctAttr(ctaProtoNum))),
		"with malformed ports":          ctNest(ctaTupleOrig, ip4, ctNest(ctaTupleProto, ctAttr(ctaProtoNum, 6), overlong)),
		"with malformed addresses":      ctNest(ctaTupleOrig, ctNest(ctaTupleIP, overlong, ctAttr(ctaIPv4Src, 1, 2, 3, 4), ctAttr(ctaIPv4Dst, 1, 2, 3, 4)), ports),
		"that is malformed":             ctNest(ctaTupleOrig, short, ip4, ports),
		"that is empty":                 ctNest(ctaTupleOrig),
	} {
		e := entryFrom(t, tracked(t, ConnNew, nest, mark))
		if got, ok := e.Original(); ok || got != (Tuple{}) {
			t.Errorf("tuple %s: %v, %v", name, got, ok)
		}
		if e.Mark() != 5 {
			t.Errorf("tuple %s: the mark is lost", name)
		}
	}
	for name, attrs := range map[string][][]byte{
		"protocol without a state":    {ctNest(ctaProtoinfo, ctNest(ctaProtoinfoTCP), ctNest(ctaProtoinfoSCTP, ctAttr(ctaSCTPState)), ctNest(ctaProtoinfoDCCP, overlong))},
		"empty strings":               {ctNest(ctaHelp, ctAttr(ctaHelpName)), ctNest(ctaSecCtx)},
		"one direction of counters":   {ctNest(ctaCountersOrig, ctAttr(ctaCountersPackets, be64(3)...), ctAttr(ctaCountersBytes, be64(1)...))},
		"counters of 32 bits":         {ctNest(ctaCountersOrig, ctAttr(3, be32(1)...)), ctNest(ctaCountersReply, ctAttr(ctaCountersPackets, be32(1)...), ctAttr(ctaCountersBytes, be32(1)...))},
		"one direction of adjustment": {ctNest(ctaSeqAdjReply, ctAttr(1, be32(1)...), ctAttr(2, be32(1)...), ctAttr(3, be32(1)...))},
		"half of the SYN proxy":       {ctNest(ctaSynproxy, ctAttr(ctaSynproxyISN, be32(1)...))},
		"short timestamp":             {ctNest(ctaTimestamp, ctAttr(ctaTimestampStart, be32(1)...))},
	} {
		if got := tell(entryFrom(t, tracked(t, ConnNew, attrs...))); got != (told{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestConntrackNoAllocations: nothing that an entry tells allocates.
func TestConntrackNoAllocations(t *testing.T) {
	for _, c := range conntrackCases {
		p := tracked(t, c.state, c.attrs...)
		var sum int
		if n := testing.AllocsPerRun(100, func() {
			e, ok := p.Conntrack()
			if !ok {
				t.Fatal("no entry")
			}
			p.ConnState()
			e.Original()
			e.Reply()
			e.Master()
			e.Zone()
			e.ID()
			e.Status()
			e.Mark()
			e.Timeout()
			e.TCP()
			e.SCTP()
			e.DCCP()
			e.SeqAdj()
			e.Synproxy()
			e.Counters()
			e.Times()
			sum += len(e.Labels()) + len(e.Helper()) + len(e.HelperInfo()) + len(e.SecurityContext())
			if string(e.Helper()) == "tftp" {
				sum++
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestConntrackStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{ConnEstablished.String(), "established"},
		{ConnRelated.String(), "related"},
		{ConnNew.String(), "new"},
		{ConnEstablishedReply.String(), "established-reply"},
		{ConnRelatedReply.String(), "related-reply"},
		{ConnState(7).String(), "conntrack info 7"},
		{ConnStatus(0).String(), "none"},
		{(StatusSeenReply | StatusSrcNAT | 1<<20).String(), "seen-reply|snat|0x100000"},
		{StatusHWOffload.String(), "hw-offload"},
		{TCPSynSent2.String(), "SYN_SENT2"},
		{TCPState(10).String(), "TCP state 10"},
		{(TCPWindowScale | TCPSimultaneousOpen).String(), "window-scale|simultaneous-open"},
		{SCTPHeartbeatAcked.String(), "HEARTBEAT_ACKED"},
		{DCCPTimeWait.String(), "TIMEWAIT"},
		{(ExpectPermanent | ExpectInactive).String(), "permanent|inactive"},
		{ctTuple("192.0.2.1", 1024, "192.0.2.2", 80, 6).String(), "tcp 192.0.2.1:1024 > 192.0.2.2:80"},
		{ctTuple("::1", 1, "::2", 0, 17).String(), "udp [::1]:1 > [::2]:0"},
		{ctTuple("192.0.2.1", 0, "192.0.2.2", 0, 50).String(), "esp 192.0.2.1 > 192.0.2.2"},
		{Tuple{Src: netip.MustParseAddr("::1"), Dst: netip.MustParseAddr("::2"), Protocol: 58, ICMPType: 128, ICMPID: 7, Zone: 3}.String(),
			"icmpv6 ::1 > ::2 type 128 code 0 id 7 zone 3"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for s := ConnEstablished; s <= ConnRelatedReply; s++ {
		if got, want := s.Reply(), s == ConnEstablishedReply || s == ConnRelatedReply; got != want {
			t.Errorf("%v is a reply: %v", s, got)
		}
	}
}

// BenchmarkConntrack is what a handler pays that looks at the original tuple and the
// mark.
func BenchmarkConntrack(b *testing.B) {
	c := conntrackCases[0]
	p := tracked(b, c.state, c.attrs...)
	b.ReportAllocs()
	for b.Loop() {
		e, _ := p.Conntrack()
		if t, ok := e.Original(); !ok || t.SrcPort != 40000 || e.Mark() == 0 {
			b.Fatal(t, ok)
		}
	}
}
