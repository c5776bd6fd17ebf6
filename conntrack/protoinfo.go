// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// TCPState is the state of a TCP connection as conntrack sees it (enum
// tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h).
type TCPState uint8

// TCP states in the kernel's order.
const (
	TCPNone        TCPState = 0 // TCP_CONNTRACK_NONE
	TCPSynSent     TCPState = 1 // TCP_CONNTRACK_SYN_SENT
	TCPSynRecv     TCPState = 2 // TCP_CONNTRACK_SYN_RECV
	TCPEstablished TCPState = 3 // TCP_CONNTRACK_ESTABLISHED
	TCPFinWait     TCPState = 4 // TCP_CONNTRACK_FIN_WAIT
	TCPCloseWait   TCPState = 5 // TCP_CONNTRACK_CLOSE_WAIT
	TCPLastAck     TCPState = 6 // TCP_CONNTRACK_LAST_ACK
	TCPTimeWait    TCPState = 7 // TCP_CONNTRACK_TIME_WAIT
	TCPClose       TCPState = 8 // TCP_CONNTRACK_CLOSE
	TCPSynSent2    TCPState = 9 // TCP_CONNTRACK_SYN_SENT2
)

var tcpStateNames = [...]string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
	"CLOSE", "SYN_SENT2",
}

// String returns the kernel's name of the state: "SYN_SENT" ...
func (s TCPState) String() string { return word.Name(uint8(s), tcpStateNames[:], "TCP state") }

// TCPFlags is what conntrack knows of one end of a TCP connection
// (IP_CT_TCP_FLAG_* of linux/netfilter/nf_conntrack_tcp.h).
type TCPFlags uint8

const (
	// TCPWindowScale: the end announced window scaling (IP_CT_TCP_FLAG_WINDOW_SCALE).
	TCPWindowScale TCPFlags = 1 << 0
	// TCPSACKPerm: the end permitted selective acknowledgement (IP_CT_TCP_FLAG_SACK_PERM).
	TCPSACKPerm TCPFlags = 1 << 1
	// TCPCloseInit: the end sent the first FIN (IP_CT_TCP_FLAG_CLOSE_INIT).
	TCPCloseInit TCPFlags = 1 << 2
	// TCPBeLiberal: segments outside of the window are not invalid (IP_CT_TCP_FLAG_BE_LIBERAL).
	TCPBeLiberal TCPFlags = 1 << 3
	// TCPDataUnacknowledged: data of the end is not acknowledged
	// (IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED).
	TCPDataUnacknowledged TCPFlags = 1 << 4
	// TCPMaxACKSet: the highest acknowledgement is known (IP_CT_TCP_FLAG_MAXACK_SET).
	TCPMaxACKSet TCPFlags = 1 << 5
	// TCPChallengeACK: a challenge ACK of RFC 5961 may come (IP_CT_EXP_CHALLENGE_ACK).
	TCPChallengeACK TCPFlags = 1 << 6
	// TCPSimultaneousOpen: both ends sent a SYN (IP_CT_TCP_SIMULTANEOUS_OPEN).
	TCPSimultaneousOpen TCPFlags = 1 << 7
)

var tcpFlagNames = []string{
	"window-scale", "sack-perm", "close-init", "be-liberal", "data-unacknowledged", "maxack-set",
	"challenge-ack",
	"simultaneous-open",
}

// String lists the names of the set flags, joined by "|".
func (f TCPFlags) String() string { return word.Bits(uint32(f), tcpFlagNames) }

// TCPInfo is the state of a tracked TCP connection. Original is the end that sent
// the first packet.
type TCPInfo struct {
	State                     TCPState // of the connection as a whole
	OriginalScale, ReplyScale uint8    // shift counts of RFC 7323
	OriginalFlags, ReplyFlags TCPFlags // what is known of each end
}

// TCP returns the state of a TCP connection (CTA_PROTOINFO_TCP, tcp_to_nlattr).
func (e Entry) TCP() (info TCPInfo, ok bool) {
	nest := ctattr.Find(e.data(ctattr.Protoinfo), ctattr.ProtoinfoTCP, 0)
	state := ctattr.Find(nest, ctattr.TCPState, 1)
	if state == nil {
		return TCPInfo{}, false
	}
	// struct nf_ct_tcp_flags starts with the flags.
	return TCPInfo{
		State:         TCPState(state[0]),
		OriginalScale: firstByte(ctattr.Find(nest, ctattr.TCPWScaleOrig, 1)),
		ReplyScale:    firstByte(ctattr.Find(nest, ctattr.TCPWScaleReply, 1)),
		OriginalFlags: TCPFlags(firstByte(ctattr.Find(nest, ctattr.TCPFlagsOrig, 2))),
		ReplyFlags:    TCPFlags(firstByte(ctattr.Find(nest, ctattr.TCPFlagsReply, 2))),
	}, true
}

// SCTPState is the state of an SCTP association as conntrack sees it (enum
// sctp_conntrack of linux/netfilter/nf_conntrack_sctp.h).
type SCTPState uint8

// SCTP states in the kernel's order.
const (
	SCTPNone            SCTPState = 0 // SCTP_CONNTRACK_NONE
	SCTPClosed          SCTPState = 1 // SCTP_CONNTRACK_CLOSED
	SCTPCookieWait      SCTPState = 2 // SCTP_CONNTRACK_COOKIE_WAIT
	SCTPCookieEchoed    SCTPState = 3 // SCTP_CONNTRACK_COOKIE_ECHOED
	SCTPEstablished     SCTPState = 4 // SCTP_CONNTRACK_ESTABLISHED
	SCTPShutdownSent    SCTPState = 5 // SCTP_CONNTRACK_SHUTDOWN_SENT
	SCTPShutdownRecd    SCTPState = 6 // SCTP_CONNTRACK_SHUTDOWN_RECD
	SCTPShutdownACKSent SCTPState = 7 // SCTP_CONNTRACK_SHUTDOWN_ACK_SENT
	SCTPHeartbeatSent   SCTPState = 8 // SCTP_CONNTRACK_HEARTBEAT_SENT
	SCTPHeartbeatAcked  SCTPState = 9 // SCTP_CONNTRACK_HEARTBEAT_ACKED
)

var sctpStateNames = [...]string{
	"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
	"SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
}

// String returns the kernel's name of the state: "COOKIE_WAIT" ...
func (s SCTPState) String() string { return word.Name(uint8(s), sctpStateNames[:], "SCTP state") }

// SCTPInfo is the state of a tracked SCTP association.
type SCTPInfo struct {
	State                   SCTPState // of the association as a whole
	OriginalVTag, ReplyVTag uint32    // verification tags of the packets in each direction
}

// SCTP returns the state of an SCTP association (CTA_PROTOINFO_SCTP, sctp_to_nlattr).
func (e Entry) SCTP() (info SCTPInfo, ok bool) {
	nest := ctattr.Find(e.data(ctattr.Protoinfo), ctattr.ProtoinfoSCTP, 0)
	state := ctattr.Find(nest, ctattr.SCTPState, 1)
	if state == nil {
		return SCTPInfo{}, false
	}
	return SCTPInfo{
		State:        SCTPState(state[0]),
		OriginalVTag: beUint32(ctattr.Find(nest, ctattr.SCTPVTagOrig, 4)),
		ReplyVTag:    beUint32(ctattr.Find(nest, ctattr.SCTPVTagReply, 4)),
	}, true
}

// DCCPState is the state of a DCCP connection as conntrack sees it (enum
// ct_dccp_states of linux/netfilter/nf_conntrack_dccp.h).
type DCCPState uint8

// DCCP states in the kernel's order.
const (
	DCCPNone     DCCPState = 0 // CT_DCCP_NONE
	DCCPRequest  DCCPState = 1 // CT_DCCP_REQUEST
	DCCPRespond  DCCPState = 2 // CT_DCCP_RESPOND
	DCCPPartOpen DCCPState = 3 // CT_DCCP_PARTOPEN
	DCCPOpen     DCCPState = 4 // CT_DCCP_OPEN
	DCCPCloseReq DCCPState = 5 // CT_DCCP_CLOSEREQ
	DCCPClosing  DCCPState = 6 // CT_DCCP_CLOSING
	DCCPTimeWait DCCPState = 7 // CT_DCCP_TIMEWAIT
)

var dccpStateNames = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ",
	"CLOSING", "TIMEWAIT"}

// String returns the kernel's name of the state: "REQUEST" ...
func (s DCCPState) String() string { return word.Name(uint8(s), dccpStateNames[:], "DCCP state") }

// DCCPInfo is the state of a tracked DCCP connection.
type DCCPInfo struct {
	State DCCPState // of the connection as a whole
	// OriginalServer says that the server sent the first packet, as in a connection that
	// conntrack picked up midway (CT_DCCP_ROLE_SERVER).
	OriginalServer bool
	HandshakeSeq   uint64 // sequence number of the handshake
}

// DCCP returns the state of a DCCP connection (CTA_PROTOINFO_DCCP, dccp_to_nlattr).
// Linux 6.17 and later do not track DCCP.
func (e Entry) DCCP() (info DCCPInfo, ok bool) {
	nest := ctattr.Find(e.data(ctattr.Protoinfo), ctattr.ProtoinfoDCCP, 0)
	state := ctattr.Find(nest, ctattr.DCCPState, 1)
	if state == nil {
		return DCCPInfo{}, false
	}
	info.State = DCCPState(state[0])
	info.OriginalServer = firstByte(ctattr.Find(nest, ctattr.DCCPRole, 1)) == 1 // CT_DCCP_ROLE_SERVER
	if d := ctattr.Find(nest, ctattr.DCCPHandshakeSeq, 8); d != nil {
		info.HandshakeSeq = binary.BigEndian.Uint64(d)
	}
	return info, true
}
