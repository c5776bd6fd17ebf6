// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

// Attributes of linux/netfilter/nfnetlink_conntrack.h, without those that do not
// come with packets nor go with verdicts.
const (
	ctaTupleOrig     = 1  // CTA_TUPLE_ORIG
	ctaTupleReply    = 2  // CTA_TUPLE_REPLY
	ctaStatus        = 3  // CTA_STATUS
	ctaProtoinfo     = 4  // CTA_PROTOINFO
	ctaHelp          = 5  // CTA_HELP
	ctaTimeout       = 7  // CTA_TIMEOUT
	ctaMark          = 8  // CTA_MARK
	ctaCountersOrig  = 9  // CTA_COUNTERS_ORIG
	ctaCountersReply = 10 // CTA_COUNTERS_REPLY
	ctaID            = 12 // CTA_ID
	ctaTupleMaster   = 14 // CTA_TUPLE_MASTER
	ctaSeqAdjOrig    = 15 // CTA_SEQ_ADJ_ORIG
	ctaSeqAdjReply   = 16 // CTA_SEQ_ADJ_REPLY
	ctaZone          = 18 // CTA_ZONE
	ctaSecCtx        = 19 // CTA_SECCTX
	ctaTimestamp     = 20 // CTA_TIMESTAMP
	ctaMarkMask      = 21 // CTA_MARK_MASK
	ctaLabels        = 22 // CTA_LABELS
	ctaLabelsMask    = 23 // CTA_LABELS_MASK
	ctaSynproxy      = 24 // CTA_SYNPROXY
	ctaMax           = ctaSynproxy

	ctaTupleIP    = 1 // CTA_TUPLE_IP
	ctaTupleProto = 2 // CTA_TUPLE_PROTO
	ctaTupleZone  = 3 // CTA_TUPLE_ZONE

	ctaIPv4Src = 1 // CTA_IP_V4_SRC
	ctaIPv4Dst = 2 // CTA_IP_V4_DST
	ctaIPv6Src = 3 // CTA_IP_V6_SRC
	ctaIPv6Dst = 4 // CTA_IP_V6_DST

	ctaProtoNum        = 1 // CTA_PROTO_NUM
	ctaProtoSrcPort    = 2 // CTA_PROTO_SRC_PORT
	ctaProtoDstPort    = 3 // CTA_PROTO_DST_PORT
	ctaProtoICMPID     = 4 // CTA_PROTO_ICMP_ID
	ctaProtoICMPType   = 5 // CTA_PROTO_ICMP_TYPE
	ctaProtoICMPCode   = 6 // CTA_PROTO_ICMP_CODE
	ctaProtoICMPv6ID   = 7 // CTA_PROTO_ICMPV6_ID
	ctaProtoICMPv6Type = 8 // CTA_PROTO_ICMPV6_TYPE
	ctaProtoICMPv6Code = 9 // CTA_PROTO_ICMPV6_CODE

	ctaProtoinfoTCP  = 1 // CTA_PROTOINFO_TCP
	ctaProtoinfoDCCP = 2 // CTA_PROTOINFO_DCCP
	ctaProtoinfoSCTP = 3 // CTA_PROTOINFO_SCTP

	ctaTCPState       = 1 // CTA_PROTOINFO_TCP_STATE
	ctaTCPWScaleOrig  = 2 // CTA_PROTOINFO_TCP_WSCALE_ORIGINAL
	ctaTCPWScaleReply = 3 // CTA_PROTOINFO_TCP_WSCALE_REPLY
	ctaTCPFlagsOrig   = 4 // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL
	ctaTCPFlagsReply  = 5 // CTA_PROTOINFO_TCP_FLAGS_REPLY

	ctaDCCPState        = 1 // CTA_PROTOINFO_DCCP_STATE
	ctaDCCPRole         = 2 // CTA_PROTOINFO_DCCP_ROLE
	ctaDCCPHandshakeSeq = 3 // CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ

	ctaSCTPState     = 1 // CTA_PROTOINFO_SCTP_STATE
	ctaSCTPVTagOrig  = 2 // CTA_PROTOINFO_SCTP_VTAG_ORIGINAL
	ctaSCTPVTagReply = 3 // CTA_PROTOINFO_SCTP_VTAG_REPLY

	ctaHelpName = 1 // CTA_HELP_NAME
	ctaHelpInfo = 2 // CTA_HELP_INFO

	ctaCountersPackets = 1 // CTA_COUNTERS_PACKETS
	ctaCountersBytes   = 2 // CTA_COUNTERS_BYTES

	ctaTimestampStart = 1 // CTA_TIMESTAMP_START
	ctaTimestampStop  = 2 // CTA_TIMESTAMP_STOP

	ctaSeqAdjCorrectionPos = 1 // CTA_SEQADJ_CORRECTION_POS
	ctaSeqAdjOffsetBefore  = 2 // CTA_SEQADJ_OFFSET_BEFORE
	ctaSeqAdjOffsetAfter   = 3 // CTA_SEQADJ_OFFSET_AFTER

	ctaSynproxyISN   = 1 // CTA_SYNPROXY_ISN
	ctaSynproxyITS   = 2 // CTA_SYNPROXY_ITS
	ctaSynproxyTSOff = 3 // CTA_SYNPROXY_TSOFF

	ctaSecCtxName = 1 // CTA_SECCTX_NAME

	ctaExpectTuple    = 2  // CTA_EXPECT_TUPLE
	ctaExpectMask     = 3  // CTA_EXPECT_MASK
	ctaExpectHelpName = 6  // CTA_EXPECT_HELP_NAME
	ctaExpectFlags    = 8  // CTA_EXPECT_FLAGS
	ctaExpectClass    = 9  // CTA_EXPECT_CLASS
	ctaExpectNAT      = 10 // CTA_EXPECT_NAT
	ctaExpectFn       = 11 // CTA_EXPECT_FN

	ctaExpectNATDir   = 1 // CTA_EXPECT_NAT_DIR
	ctaExpectNATTuple = 2 // CTA_EXPECT_NAT_TUPLE
)
