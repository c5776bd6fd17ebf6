// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack

import (
	"encoding/binary"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Entry is a connection as conntrack knows it (struct nf_conn). The original direction is that
// of the connection's first packet.
//
// An Entry reads the message that it came in, and is valid as long as that: an entry of a packet
// until the handler returns. Its methods allocate nothing. Where the kernel left something out,
// because the connection lacks it or a sysctl does not record it, a method returns the zero value,
// and false where zero could be a value (__ctnetlink_glue_build).
type Entry struct {
	nest []byte
	at   [ctattr.Max + 1]uint16 // offset of each attribute's data in nest, 0 if absent
}

// minLen is the size of attributes that have a fixed one. A shorter attribute counts as absent.
var minLen = [ctattr.Max + 1]uint8{
	ctattr.Status: 4, ctattr.Timeout: 4, ctattr.Mark: 4, ctattr.ID: 4, ctattr.Zone: 2,
	ctattr.Labels: ctattr.LabelsLen,
}

// Parse finds the attributes of an entry in the data of NFQA_CT, a list of CTA_* attributes. It
// reports false when the list is malformed. The Entry refers to nest.
func Parse(nest []byte) (e Entry, ok bool) {
	e.nest = nest
	for rest := nest; ; {
		typ, d, next, more := nlwire.NextAttr(rest)
		if !more {
			if nlwire.Malformed(rest) {
				return Entry{}, false
			}
			return e, true
		}
		if typ <= ctattr.Max && len(d) >= int(minLen[typ]) {
			e.at[typ] = uint16(len(nest) - len(rest) + nlwire.AttrHeaderLen)
		}
		rest = next
	}
}

// data returns the bytes of an attribute, nil if it is absent.
func (e *Entry) data(typ uint16) []byte {
	at := int(e.at[typ])
	if at == 0 {
		return nil
	}
	header := e.nest[at-nlwire.AttrHeaderLen:]
	end := at - nlwire.AttrHeaderLen + int(binary.NativeEndian.Uint16(header))
	return e.nest[at:end:end]
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

// cString cuts the NUL at the end of a string.
func cString(d []byte) []byte {
	if n := len(d); n > 0 && d[n-1] == 0 {
		return d[: n-1 : n-1]
	}
	return d
}

// Original returns the tuple of packets in the original direction, before any address
// translation (CTA_TUPLE_ORIG).
func (e Entry) Original() (t Tuple, ok bool) {
	return parseTuple(e.data(ctattr.TupleOrig), e.Zone())
}

// Reply returns the tuple of packets in the other direction as they arrive. If it is not the
// reverse of Original, NAT translates the connection (CTA_TUPLE_REPLY).
func (e Entry) Reply() (t Tuple, ok bool) {
	return parseTuple(e.data(ctattr.TupleReply), e.Zone())
}

// Master returns the original tuple of the connection that expected this one: for an FTP data
// connection, the control connection. The kernel does not send its zone (CTA_TUPLE_MASTER).
func (e Entry) Master() (t Tuple, ok bool) { return parseTuple(e.data(ctattr.TupleMaster), 0) }

// Zone returns the zone that both directions share, 0 by default. If the directions have zones of
// their own, Zone is 0 and the tuples have them (CTA_ZONE).
func (e Entry) Zone() uint16 {
	if d := e.data(ctattr.Zone); d != nil {
		return binary.BigEndian.Uint16(d)
	}
	return 0
}

// ID returns a number that no other entry has at the same time (CTA_ID, nf_ct_get_id).
func (e Entry) ID() (id uint32, ok bool) {
	d := e.data(ctattr.ID)
	return beUint32(d), d != nil
}

// Status returns the status bits (CTA_STATUS).
func (e Entry) Status() Status { return Status(beUint32(e.data(ctattr.Status))) }

// Mark returns the connection mark. 0 is the same as none (CTA_MARK).
func (e Entry) Mark() uint32 { return beUint32(e.data(ctattr.Mark)) }

// Labels returns the 128 labels of the connection, nil if none is set. It is a bitmap of the
// kernel's longs in host byte order: on a little-endian host, label n is bit n%8 of byte n/8. The
// slice is part of the message (CTA_LABELS).
func (e Entry) Labels() []byte { return e.data(ctattr.Labels) }

// Timeout returns how much longer the entry lives if no packet comes, in whole seconds. Older
// kernels, such as 5.10, send nothing useful before the entry is confirmed (CTA_TIMEOUT,
// ctnetlink_dump_timeout).
func (e Entry) Timeout() (d time.Duration, ok bool) {
	b := e.data(ctattr.Timeout)
	return time.Duration(beUint32(b)) * time.Second, b != nil
}

// Helper returns the name of the connection's helper, such as "ftp", nil for none. The slice is
// part of the message (CTA_HELP_NAME).
func (e Entry) Helper() []byte {
	return cString(ctattr.Find(e.data(ctattr.Help), ctattr.HelpName, 1))
}

// HelperInfo returns the private data of a userspace helper, nil for none. The slice is part of
// the message (CTA_HELP_INFO).
func (e Entry) HelperInfo() []byte { return ctattr.Find(e.data(ctattr.Help), ctattr.HelpInfo, 1) }

// SecurityContext returns the security context of the connection without the terminating NUL, nil
// for none. The slice is part of the message (CTA_SECCTX).
func (e Entry) SecurityContext() []byte {
	return cString(ctattr.Find(e.data(ctattr.SecCtx), ctattr.SecCtxName, 0))
}

// SeqAdj is the adjustment of the TCP sequence numbers of one direction (struct nf_ct_seqadj).
type SeqAdj struct {
	CorrectionPos uint32 // the sequence number behind which OffsetAfter applies
	OffsetBefore  int32  // added to sequence numbers up to CorrectionPos
	OffsetAfter   int32  // added to sequence numbers behind CorrectionPos
}

// SeqAdj returns how the kernel adjusts sequence numbers in each direction. It does so after a
// helper or a verdict changed the length of a translated segment, and for the SYN proxy, which
// chooses other numbers than the server (CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY).
func (e Entry) SeqAdj() (original, reply SeqAdj, ok bool) {
	original, ok1 := parseSeqAdj(e.data(ctattr.SeqAdjOrig))
	reply, ok2 := parseSeqAdj(e.data(ctattr.SeqAdjReply))
	if !ok1 || !ok2 {
		return SeqAdj{}, SeqAdj{}, false
	}
	return original, reply, true
}

func parseSeqAdj(nest []byte) (s SeqAdj, ok bool) {
	pos := ctattr.Find(nest, ctattr.SeqAdjCorrectionPos, 4)
	before := ctattr.Find(nest, ctattr.SeqAdjOffsetBefore, 4)
	after := ctattr.Find(nest, ctattr.SeqAdjOffsetAfter, 4)
	if pos == nil || before == nil || after == nil {
		return SeqAdj{}, false
	}
	return SeqAdj{beUint32(pos), int32(beUint32(before)), int32(beUint32(after))}, true
}

// Synproxy is the state of the SYN proxy for a connection that it accepted (struct
// nf_conn_synproxy).
type Synproxy struct {
	ISN             uint32 // initial sequence number sent to the client
	InitTimestamp   uint32 // timestamp sent to the client
	TimestampOffset uint32 // added to the server's timestamps
}

// Synproxy returns the state of the SYN proxy for the connection (CTA_SYNPROXY).
func (e Entry) Synproxy() (s Synproxy, ok bool) {
	nest := e.data(ctattr.Synproxy)
	isn := ctattr.Find(nest, ctattr.SynproxyISN, 4)
	its := ctattr.Find(nest, ctattr.SynproxyITS, 4)
	off := ctattr.Find(nest, ctattr.SynproxyTSOff, 4)
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

// Counters returns what each direction has carried so far, with this packet. The kernel counts
// while the sysctl net.netfilter.nf_conntrack_acct is set, and sends the counters since Linux 5.15
// (CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY).
func (e Entry) Counters() (original, reply Counters, ok bool) {
	original, ok1 := parseCounters(e.data(ctattr.CountersOrig))
	reply, ok2 := parseCounters(e.data(ctattr.CountersReply))
	if !ok1 || !ok2 {
		return Counters{}, Counters{}, false
	}
	return original, reply, true
}

func parseCounters(nest []byte) (c Counters, ok bool) {
	packets := ctattr.Find(nest, ctattr.CountersPackets, 8)
	bytes := ctattr.Find(nest, ctattr.CountersBytes, 8)
	if packets == nil || bytes == nil {
		return Counters{}, false
	}
	return Counters{binary.BigEndian.Uint64(packets), binary.BigEndian.Uint64(bytes)}, true
}

// Times returns when the connection was confirmed and when it ended, the zero Time for what has
// not happened. The kernel records both while the sysctl net.netfilter.nf_conntrack_timestamp is
// set, and sends them since Linux 5.15 (CTA_TIMESTAMP).
func (e Entry) Times() (start, stop time.Time, ok bool) {
	nest := e.data(ctattr.Timestamp)
	d := ctattr.Find(nest, ctattr.TimestampStart, 8)
	if d == nil {
		return time.Time{}, time.Time{}, false
	}
	return unixNano(d), unixNano(ctattr.Find(nest, ctattr.TimestampStop, 8)), true
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
