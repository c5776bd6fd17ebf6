// SPDX-License-Identifier: GPL-2.0-or-later

// Package ctattr has the attributes of connection tracking entries and expectations, and finds
// them in messages. Packages conntrack, which reads entries, and ctedit, which changes them,
// share it.
package ctattr

import "github.com/chifflier/nfqueue-go/internal/nlwire"

// Attributes of linux/netfilter/nfnetlink_conntrack.h that come with packets or go with verdicts.
const (
	TupleOrig     = 1  // CTA_TUPLE_ORIG
	TupleReply    = 2  // CTA_TUPLE_REPLY
	Status        = 3  // CTA_STATUS
	Protoinfo     = 4  // CTA_PROTOINFO
	Help          = 5  // CTA_HELP
	Timeout       = 7  // CTA_TIMEOUT
	Mark          = 8  // CTA_MARK
	CountersOrig  = 9  // CTA_COUNTERS_ORIG
	CountersReply = 10 // CTA_COUNTERS_REPLY
	ID            = 12 // CTA_ID
	TupleMaster   = 14 // CTA_TUPLE_MASTER
	SeqAdjOrig    = 15 // CTA_SEQ_ADJ_ORIG
	SeqAdjReply   = 16 // CTA_SEQ_ADJ_REPLY
	Zone          = 18 // CTA_ZONE
	SecCtx        = 19 // CTA_SECCTX
	Timestamp     = 20 // CTA_TIMESTAMP
	MarkMask      = 21 // CTA_MARK_MASK
	Labels        = 22 // CTA_LABELS
	LabelsMask    = 23 // CTA_LABELS_MASK
	Synproxy      = 24 // CTA_SYNPROXY
	Max           = Synproxy

	TupleIP    = 1 // CTA_TUPLE_IP
	TupleProto = 2 // CTA_TUPLE_PROTO
	TupleZone  = 3 // CTA_TUPLE_ZONE

	IPv4Src = 1 // CTA_IP_V4_SRC
	IPv4Dst = 2 // CTA_IP_V4_DST
	IPv6Src = 3 // CTA_IP_V6_SRC
	IPv6Dst = 4 // CTA_IP_V6_DST

	ProtoNum        = 1 // CTA_PROTO_NUM
	ProtoSrcPort    = 2 // CTA_PROTO_SRC_PORT
	ProtoDstPort    = 3 // CTA_PROTO_DST_PORT
	ProtoICMPID     = 4 // CTA_PROTO_ICMP_ID
	ProtoICMPType   = 5 // CTA_PROTO_ICMP_TYPE
	ProtoICMPCode   = 6 // CTA_PROTO_ICMP_CODE
	ProtoICMPv6ID   = 7 // CTA_PROTO_ICMPV6_ID
	ProtoICMPv6Type = 8 // CTA_PROTO_ICMPV6_TYPE
	ProtoICMPv6Code = 9 // CTA_PROTO_ICMPV6_CODE

	ProtoinfoTCP  = 1 // CTA_PROTOINFO_TCP
	ProtoinfoDCCP = 2 // CTA_PROTOINFO_DCCP
	ProtoinfoSCTP = 3 // CTA_PROTOINFO_SCTP

	TCPState       = 1 // CTA_PROTOINFO_TCP_STATE
	TCPWScaleOrig  = 2 // CTA_PROTOINFO_TCP_WSCALE_ORIGINAL
	TCPWScaleReply = 3 // CTA_PROTOINFO_TCP_WSCALE_REPLY
	TCPFlagsOrig   = 4 // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL
	TCPFlagsReply  = 5 // CTA_PROTOINFO_TCP_FLAGS_REPLY

	DCCPState        = 1 // CTA_PROTOINFO_DCCP_STATE
	DCCPRole         = 2 // CTA_PROTOINFO_DCCP_ROLE
	DCCPHandshakeSeq = 3 // CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ

	SCTPState     = 1 // CTA_PROTOINFO_SCTP_STATE
	SCTPVTagOrig  = 2 // CTA_PROTOINFO_SCTP_VTAG_ORIGINAL
	SCTPVTagReply = 3 // CTA_PROTOINFO_SCTP_VTAG_REPLY

	HelpName = 1 // CTA_HELP_NAME
	HelpInfo = 2 // CTA_HELP_INFO

	CountersPackets = 1 // CTA_COUNTERS_PACKETS
	CountersBytes   = 2 // CTA_COUNTERS_BYTES

	TimestampStart = 1 // CTA_TIMESTAMP_START
	TimestampStop  = 2 // CTA_TIMESTAMP_STOP

	SeqAdjCorrectionPos = 1 // CTA_SEQADJ_CORRECTION_POS
	SeqAdjOffsetBefore  = 2 // CTA_SEQADJ_OFFSET_BEFORE
	SeqAdjOffsetAfter   = 3 // CTA_SEQADJ_OFFSET_AFTER

	SynproxyISN   = 1 // CTA_SYNPROXY_ISN
	SynproxyITS   = 2 // CTA_SYNPROXY_ITS
	SynproxyTSOff = 3 // CTA_SYNPROXY_TSOFF

	SecCtxName = 1 // CTA_SECCTX_NAME

	ExpectTuple    = 2  // CTA_EXPECT_TUPLE
	ExpectMask     = 3  // CTA_EXPECT_MASK
	ExpectHelpName = 6  // CTA_EXPECT_HELP_NAME
	ExpectFlags    = 8  // CTA_EXPECT_FLAGS
	ExpectClass    = 9  // CTA_EXPECT_CLASS
	ExpectNAT      = 10 // CTA_EXPECT_NAT
	ExpectFn       = 11 // CTA_EXPECT_FN

	ExpectNATDir   = 1 // CTA_EXPECT_NAT_DIR
	ExpectNATTuple = 2 // CTA_EXPECT_NAT_TUPLE
)

// LabelsLen is the size of the labels in bytes (NF_CT_LABELS_MAX_SIZE).
const LabelsLen = 16

// Find returns the data of the first attribute of a type, nil if there is none of at least n bytes.
func Find(nest []byte, typ uint16, n int) []byte {
	for {
		t, d, rest, more := nlwire.NextAttr(nest)
		if !more {
			return nil
		}
		if t == typ && len(d) >= n {
			return d
		}
		nest = rest
	}
}
