// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// ConnState returns how the packet relates to its connection. Needs Flags
// Conntrack (NFQA_CT_INFO).
func (p *Packet) ConnState() (state ConnState, ok bool) {
	v, ok := p.uint32(nfqmsg.AttrCTInfo)
	return ConnState(v), ok
}

// Conntrack returns the conntrack entry of the packet's connection, as it was when
// the packet was queued. Needs Flags Conntrack; a packet has an entry only while
// some rule makes the kernel track connections in its network namespace, by using
// ct or NAT, and not if it is invalid or untracked. The entry, and the slices it
// gives out, are valid until the handler returns (NFQA_CT).
func (p *Packet) Conntrack() (entry ConntrackEntry, ok bool) {
	nest := p.data(nfqmsg.AttrCT)
	if nest == nil || !entry.index(nest) {
		return ConntrackEntry{}, false
	}
	return entry, true
}

// ConntrackEntry is a connection as conntrack knows it (struct nf_conn). The
// original direction is that of the connection's first packet.
//
// It is a view of the packet's message: see Packet.Conntrack for how long it is
// valid. What the kernel leaves out, because the connection has it not or a sysctl
// has it not recorded, answers with the zero value, and with false where zero
// could be a value (__ctnetlink_glue_build).
type ConntrackEntry struct {
	nest []byte
	at   [ctaMax + 1]uint16 // where the data of an attribute start in nest, 0 if it is absent
}

// ctaMinLen is what the values of these attributes take. A shorter one is as good
// as absent.
var ctaMinLen = [ctaMax + 1]uint8{
	ctaStatus: 4, ctaTimeout: 4, ctaMark: 4, ctaID: 4, ctaZone: 2, ctaLabels: connLabelsLen,
}

// connLabelsLen is the size of the labels in bytes (NF_CT_LABELS_MAX_SIZE).
const connLabelsLen = 16

// index finds the attributes. It reports false when they are malformed.
func (e *ConntrackEntry) index(nest []byte) bool {
	e.nest = nest
	for rest := nest; ; {
		typ, d, next, more := nlwire.NextAttr(rest)
		if !more {
			return !nlwire.Malformed(rest)
		}
		if typ <= ctaMax && len(d) >= int(ctaMinLen[typ]) {
			e.at[typ] = uint16(len(nest) - len(rest) + nlwire.AttrHeaderLen)
		}
		rest = next
	}
}

// data returns the bytes of an attribute, nil if it is absent.
func (e *ConntrackEntry) data(typ uint16) []byte {
	at := int(e.at[typ])
	if at == 0 {
		return nil
	}
	end := at - nlwire.AttrHeaderLen + int(binary.NativeEndian.Uint16(e.nest[at-nlwire.AttrHeaderLen:]))
	return e.nest[at:end:end]
}

// findAttr returns the data of the first attribute of a type, nil if there is none
// of at least n bytes.
func findAttr(nest []byte, typ uint16, n int) []byte {
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

func firstByte(d []byte) uint8 {
	if d == nil {
		return 0
	}
	return d[0]
}

func beUint32(d []byte) uint32 {
	if d == nil {
		return 0
	}
	return binary.BigEndian.Uint32(d)
}

// cString cuts the NUL that ends a string of the kernel's.
func cString(d []byte) []byte {
	if n := len(d); n > 0 && d[n-1] == 0 {
		return d[: n-1 : n-1]
	}
	return d
}

// Original returns the tuple of packets in the original direction, before any
// translation of addresses (CTA_TUPLE_ORIG).
func (e ConntrackEntry) Original() (t Tuple, ok bool) {
	return parseTuple(e.data(ctaTupleOrig), e.Zone())
}

// Reply returns the tuple of packets in the other direction as they arrive. Where
// it is not the reverse of Original, addresses are translated (CTA_TUPLE_REPLY).
func (e ConntrackEntry) Reply() (t Tuple, ok bool) {
	return parseTuple(e.data(ctaTupleReply), e.Zone())
}

// Master returns the original tuple of the connection that expected this one: of
// the FTP control connection for a data connection. The kernel does not tell its
// zone (CTA_TUPLE_MASTER).
func (e ConntrackEntry) Master() (t Tuple, ok bool) { return parseTuple(e.data(ctaTupleMaster), 0) }

// Zone returns the zone of both directions. It is 0, the default, also where the
// directions have zones of their own, which are in the tuples (CTA_ZONE).
func (e ConntrackEntry) Zone() uint16 {
	if d := e.data(ctaZone); d != nil {
		return binary.BigEndian.Uint16(d)
	}
	return 0
}

// ID returns a number that tells the entry from others alive at the same time
// (CTA_ID, nf_ct_get_id).
func (e ConntrackEntry) ID() (id uint32, ok bool) {
	d := e.data(ctaID)
	return beUint32(d), d != nil
}

// Status returns the status bits (CTA_STATUS).
func (e ConntrackEntry) Status() ConnStatus { return ConnStatus(beUint32(e.data(ctaStatus))) }

// Mark returns the connection mark, 0 being the same as none (CTA_MARK).
func (e ConntrackEntry) Mark() uint32 { return beUint32(e.data(ctaMark)) }

// Labels returns the 128 labels of the connection, a bitmap of the kernel's longs
// in host byte order; nil if none is set. On a little-endian host label n is bit
// n%8 of byte n/8. It is valid until the handler returns (CTA_LABELS).
func (e ConntrackEntry) Labels() []byte { return e.data(ctaLabels) }

// Timeout returns how much longer the entry lives when no packet comes, in whole
// seconds. Of an entry that is not yet confirmed older kernels, 5.10 for one, tell
// nothing useful (CTA_TIMEOUT, ctnetlink_dump_timeout).
func (e ConntrackEntry) Timeout() (d time.Duration, ok bool) {
	b := e.data(ctaTimeout)
	return time.Duration(beUint32(b)) * time.Second, b != nil
}

// Helper returns the name of the connection's helper, "ftp" for example, nil for
// none. It is valid until the handler returns (CTA_HELP_NAME).
func (e ConntrackEntry) Helper() []byte { return cString(findAttr(e.data(ctaHelp), ctaHelpName, 1)) }

// HelperInfo returns the private data of a helper in userspace, nil if it has none
// (CTA_HELP_INFO). It is valid until the handler returns.
func (e ConntrackEntry) HelperInfo() []byte { return findAttr(e.data(ctaHelp), ctaHelpInfo, 1) }

// SecurityContext returns the security context of the connection without the
// terminating NUL, nil for none. It is valid until the handler returns (CTA_SECCTX).
func (e ConntrackEntry) SecurityContext() []byte {
	return cString(findAttr(e.data(ctaSecCtx), ctaSecCtxName, 0))
}

// SeqAdj is how the TCP sequence numbers of one direction are adjusted (struct
// nf_ct_seqadj).
type SeqAdj struct {
	CorrectionPos uint32 // sequence number from which on OffsetAfter counts
	OffsetBefore  int32  // added to sequence numbers up to it
	OffsetAfter   int32  // added to those behind it
}

// SeqAdj returns how sequence numbers are adjusted in each direction, because a
// helper or a verdict has changed the length of translated segments, or the SYN proxy has chosen
// others than the server (CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY).
func (e ConntrackEntry) SeqAdj() (original, reply SeqAdj, ok bool) {
	original, ok1 := parseSeqAdj(e.data(ctaSeqAdjOrig))
	reply, ok2 := parseSeqAdj(e.data(ctaSeqAdjReply))
	if !ok1 || !ok2 {
		return SeqAdj{}, SeqAdj{}, false
	}
	return original, reply, true
}

func parseSeqAdj(nest []byte) (s SeqAdj, ok bool) {
	pos := findAttr(nest, ctaSeqAdjCorrectionPos, 4)
	before := findAttr(nest, ctaSeqAdjOffsetBefore, 4)
	after := findAttr(nest, ctaSeqAdjOffsetAfter, 4)
	if pos == nil || before == nil || after == nil {
		return SeqAdj{}, false
	}
	return SeqAdj{beUint32(pos), int32(beUint32(before)), int32(beUint32(after))}, true
}

// Synproxy is what the SYN proxy remembers of a connection that it has accepted
// (struct nf_conn_synproxy).
type Synproxy struct {
	ISN             uint32 // initial sequence number that the client was given
	InitTimestamp   uint32 // timestamp that the client was given
	TimestampOffset uint32 // what timestamps of the server are shifted by
}

// Synproxy returns the state of the SYN proxy for the connection (CTA_SYNPROXY).
func (e ConntrackEntry) Synproxy() (s Synproxy, ok bool) {
	nest := e.data(ctaSynproxy)
	isn := findAttr(nest, ctaSynproxyISN, 4)
	its := findAttr(nest, ctaSynproxyITS, 4)
	off := findAttr(nest, ctaSynproxyTSOff, 4)
	if isn == nil || its == nil || off == nil {
		return Synproxy{}, false
	}
	return Synproxy{beUint32(isn), beUint32(its), beUint32(off)}, true
}

// Counters counts one direction of a connection.
type Counters struct {
	Packets uint64 // super-packets (GSO) count once
	Bytes   uint64 // from the network header on
}

// Counters returns what each direction has carried so far, this packet included.
// The kernel counts with the sysctl net.netfilter.nf_conntrack_acct set, and tells since Linux
// 5.15 (CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY).
func (e ConntrackEntry) Counters() (original, reply Counters, ok bool) {
	original, ok1 := parseCounters(e.data(ctaCountersOrig))
	reply, ok2 := parseCounters(e.data(ctaCountersReply))
	if !ok1 || !ok2 {
		return Counters{}, Counters{}, false
	}
	return original, reply, true
}

func parseCounters(nest []byte) (c Counters, ok bool) {
	packets, bytes := findAttr(nest, ctaCountersPackets, 8), findAttr(nest, ctaCountersBytes, 8)
	if packets == nil || bytes == nil {
		return Counters{}, false
	}
	return Counters{binary.BigEndian.Uint64(packets), binary.BigEndian.Uint64(bytes)}, true
}

// Times returns when the connection was confirmed and when it ended, each the zero
// Time if it has not. The kernel records them with the sysctl
// net.netfilter.nf_conntrack_timestamp set, and tells since Linux 5.15 (CTA_TIMESTAMP).
func (e ConntrackEntry) Times() (start, stop time.Time, ok bool) {
	nest := e.data(ctaTimestamp)
	d := findAttr(nest, ctaTimestampStart, 8)
	if d == nil {
		return time.Time{}, time.Time{}, false
	}
	return unixNano(d), unixNano(findAttr(nest, ctaTimestampStop, 8)), true
}

func unixNano(d []byte) time.Time {
	if d == nil {
		return time.Time{}
	}
	if ns := binary.BigEndian.Uint64(d); ns != 0 {
		return time.Unix(0, int64(ns))
	}
	return time.Time{}
}
