// SPDX-License-Identifier: GPL-2.0-or-later

package cttest

import (
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"net/netip"
)

// Cases are entries with the attributes in the order of the kernel.
var Cases = []struct {
	Name  string
	State conntrack.State
	Attrs [][]byte // of the entry
	Want  Told
}{
	{
		Name:  "TCP over IPv4, established, translated, with everything",
		State: conntrack.StateEstablishedReply,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("192.0.2.1", "198.51.100.1"), Ports(6, 40000, 21)),
			Nest(ctattr.TupleReply, IP("203.0.113.9", "198.51.100.77"), Ports(6, 2121, 1024)),
			Attr(ctattr.Zone, be16(7)...),
			Attr(ctattr.ID, be32(0xcafe0001)...),
			Attr(ctattr.Status, be32(0x25df)...),
			Attr(ctattr.Timeout, be32(431999)...),
			Nest(ctattr.Protoinfo, Nest(ctattr.ProtoinfoTCP,
				Attr(ctattr.TCPState, 3), Attr(ctattr.TCPWScaleOrig, 7), Attr(ctattr.TCPWScaleReply, 9),
				Attr(ctattr.TCPFlagsOrig, 0x23, 0), Attr(ctattr.TCPFlagsReply, 0x0a, 0))),
			Nest(ctattr.CountersOrig, Attr(ctattr.CountersPackets, be64(3)...),
				Attr(ctattr.CountersBytes, be64(1<<40)...)),
			Nest(ctattr.CountersReply, Attr(ctattr.CountersPackets, be64(2)...),
				Attr(ctattr.CountersBytes, be64(120)...)),
			Nest(ctattr.Timestamp, Attr(ctattr.TimestampStart, be64(1700000000123456789)...),
				Attr(ctattr.TimestampStop, be64(1700000001000000000)...)),
			Nest(ctattr.Help, Text(ctattr.HelpName, "ftp\x00"), Attr(ctattr.HelpInfo, 1, 2, 3, 4, 5)),
			Nest(ctattr.SecCtx, Text(ctattr.SecCtxName, "unlabeled\x00")),
			Nest(ctattr.TupleMaster, IP("192.0.2.1", "198.51.100.1"), Ports(6, 39999, 22)),
			Nest(ctattr.SeqAdjOrig, Attr(ctattr.SeqAdjCorrectionPos, be32(0x80000001)...),
				Attr(ctattr.SeqAdjOffsetBefore, be32(4)...), Attr(ctattr.SeqAdjOffsetAfter,
					be32(0xfffffffd)...)),
			Nest(ctattr.SeqAdjReply, Attr(ctattr.SeqAdjCorrectionPos, be32(5)...),
				Attr(ctattr.SeqAdjOffsetBefore, be32(0xffffffff)...), Attr(ctattr.SeqAdjOffsetAfter,
					be32(6)...)),
			Nest(ctattr.Synproxy, Attr(ctattr.SynproxyISN, be32(11)...),
				Attr(ctattr.SynproxyITS, be32(12)...), Attr(ctattr.SynproxyTSOff, be32(13)...)),
			Attr(ctattr.Mark, be32(0xdeadbeef)...),
			Text(ctattr.Labels, "0123456789abcdef"),
			Text(99, "from a newer kernel"),
		},
		Want: Told{
			Original:   zoned(7, Tuple("192.0.2.1", 40000, "198.51.100.1", 21, 6)),
			OriginalOK: true,
			Reply:      zoned(7, Tuple("203.0.113.9", 2121, "198.51.100.77", 1024, 6)),
			ReplyOK:    true,
			Master:     Tuple("192.0.2.1", 39999, "198.51.100.1", 22, 6), MasterOK: true,
			Zone: 7, ID: 0xcafe0001, IDOK: true,
			Status: conntrack.StatusExpected | conntrack.StatusSeenReply | conntrack.StatusAssured | conntrack.StatusConfirmed | conntrack.StatusSrcNAT | conntrack.StatusSeqAdjust |
				conntrack.StatusSrcNATDone | conntrack.StatusDstNATDone | conntrack.StatusFixedTimeout | conntrack.StatusHelper,
			Mark: 0xdeadbeef, Labels: "0123456789abcdef",
			Timeout: 431999 * time.Second, TimeoutOK: true,
			TCP: conntrack.TCPInfo{State: conntrack.TCPEstablished, OriginalScale: 7, ReplyScale: 9,
				OriginalFlags: conntrack.TCPWindowScale | conntrack.TCPSACKPerm | conntrack.TCPMaxACKSet,
				ReplyFlags:    conntrack.TCPSACKPerm | conntrack.TCPBeLiberal},
			TCPOK:  true,
			Helper: "ftp", HelperInfo: "\x01\x02\x03\x04\x05", SecurityContext: "unlabeled",
			OriginalAdj: conntrack.SeqAdj{CorrectionPos: 0x80000001, OffsetBefore: 4,
				OffsetAfter: -3}, ReplyAdj: conntrack.SeqAdj{CorrectionPos: 5, OffsetBefore: -1,
				OffsetAfter: 6}, AdjOK: true,
			Synproxy: conntrack.Synproxy{ISN: 11, InitTimestamp: 12, TimestampOffset: 13}, SynproxyOK: true,
			OriginalCount: conntrack.Counters{Packets: 3, Bytes: 1 << 40},
			ReplyCount:    conntrack.Counters{Packets: 2, Bytes: 120}, CountOK: true,
			Start: 1700000000123456789, Stop: 1700000001000000000, TimesOK: true,
		},
	},
	{
		Name: "UDP over IPv6, new, a zone for the original direction only", State: conntrack.StateNew,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("2001:db8::1", "2001:db8::2"), Ports(17, 5353, 53),
				Attr(ctattr.TupleZone, be16(300)...)),
			Nest(ctattr.TupleReply, IP("2001:db8::2", "2001:db8::1"), Ports(17, 53, 5353)),
			Attr(ctattr.ID, be32(0)...),
			Attr(ctattr.Status, be32(0)...),
			Attr(ctattr.Timeout, be32(0)...),
			Attr(ctattr.Mark, be32(0)...),
		},
		Want: Told{
			Original:   zoned(300, Tuple("2001:db8::1", 5353, "2001:db8::2", 53, 17)),
			OriginalOK: true,
			Reply:      Tuple("2001:db8::2", 53, "2001:db8::1", 5353, 17), ReplyOK: true,
			IDOK: true, TimeoutOK: true,
		},
	},
	{
		Name: "ICMP echo, related", State: conntrack.StateRelated,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("192.0.2.1", "192.0.2.2"), ICMP(0xabcd, 8, 0)),
			Nest(ctattr.TupleReply, IP("192.0.2.2", "192.0.2.1"), ICMP(0xabcd, 0, 0)),
			Nest(ctattr.Timestamp, Attr(ctattr.TimestampStart, be64(0)...)),
		},
		Want: Told{
			Original: conntrack.Tuple{Src: netip.MustParseAddr("192.0.2.1"),
				Dst: netip.MustParseAddr("192.0.2.2"), Protocol: 1, ICMPType: 8, ICMPID: 0xabcd},
			OriginalOK: true,
			Reply: conntrack.Tuple{Src: netip.MustParseAddr("192.0.2.2"),
				Dst: netip.MustParseAddr("192.0.2.1"), Protocol: 1, ICMPID: 0xabcd},
			ReplyOK: true,
			TimesOK: true,
		},
	},
	{
		Name: "ICMPv6 echo, related reply", State: conntrack.StateRelatedReply,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("fe80::1", "ff02::1"), ICMPv6(9, 128, 3)),
			Nest(ctattr.TupleReply, IP("ff02::1", "fe80::1"), ICMPv6(9, 129, 0)),
		},
		Want: Told{
			Original: conntrack.Tuple{Src: netip.MustParseAddr("fe80::1"),
				Dst: netip.MustParseAddr("ff02::1"), Protocol: 58, ICMPType: 128, ICMPCode: 3, ICMPID: 9},
			OriginalOK: true,
			Reply: conntrack.Tuple{Src: netip.MustParseAddr("ff02::1"),
				Dst: netip.MustParseAddr("fe80::1"), Protocol: 58, ICMPType: 129, ICMPID: 9},
			ReplyOK: true,
		},
	},
	{
		Name: "SCTP over IPv4, established", State: conntrack.StateEstablished,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("192.0.2.1", "192.0.2.2"), Ports(132, 1, 65535)),
			Nest(ctattr.TupleReply, IP("192.0.2.2", "192.0.2.1"), Ports(132, 65535, 1)),
			Nest(ctattr.Protoinfo, Nest(ctattr.ProtoinfoSCTP,
				Attr(ctattr.SCTPState, 4), Attr(ctattr.SCTPVTagOrig, be32(0x11223344)...),
				Attr(ctattr.SCTPVTagReply, be32(0x55667788)...))),
		},
		Want: Told{
			Original: Tuple("192.0.2.1", 1, "192.0.2.2", 65535, 132), OriginalOK: true,
			Reply: Tuple("192.0.2.2", 65535, "192.0.2.1", 1, 132), ReplyOK: true,
			SCTP: conntrack.SCTPInfo{State: conntrack.SCTPEstablished, OriginalVTag: 0x11223344,
				ReplyVTag: 0x55667788}, SCTPOK: true,
		},
	},
	{
		Name: "DCCP over IPv6", State: conntrack.StateEstablished,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("::1", "::2"), Ports(33, 1, 2)),
			Nest(ctattr.TupleReply, IP("::2", "::1"), Ports(33, 2, 1)),
			Nest(ctattr.Protoinfo, Nest(ctattr.ProtoinfoDCCP,
				Attr(ctattr.DCCPState, 4), Attr(ctattr.DCCPRole, 1), Attr(ctattr.DCCPHandshakeSeq,
					be64(0x123456789abc)...))),
		},
		Want: Told{
			Original: Tuple("::1", 1, "::2", 2, 33), OriginalOK: true,
			Reply: Tuple("::2", 2, "::1", 1, 33), ReplyOK: true,
			DCCP: conntrack.DCCPInfo{State: conntrack.DCCPOpen, OriginalServer: true,
				HandshakeSeq: 0x123456789abc}, DCCPOK: true,
		},
	},
	{
		Name: "a protocol without ports", State: conntrack.StateNew,
		Attrs: [][]byte{
			Nest(ctattr.TupleOrig, IP("192.0.2.1", "192.0.2.2"), Nest(ctattr.TupleProto,
				Attr(ctattr.ProtoNum, 50))),
			Nest(ctattr.TupleReply, IP("192.0.2.2", "192.0.2.1"), Nest(ctattr.TupleProto,
				Attr(ctattr.ProtoNum, 50))),
		},
		Want: Told{
			Original: Tuple("192.0.2.1", 0, "192.0.2.2", 0, 50), OriginalOK: true,
			Reply: Tuple("192.0.2.2", 0, "192.0.2.1", 0, 50), ReplyOK: true,
		},
	},
	{Name: "nothing", State: conntrack.StateNew},
}
