// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctedit"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/sender"
)

// ConnState returns how the packet relates to its connection. Needs Flags Conntrack
// (NFQA_CT_INFO).
func (p *Packet) ConnState() (state conntrack.State, ok bool) {
	v, ok := p.uint32(nfqmsg.AttrCTInfo)
	return conntrack.State(v), ok
}

// Conntrack returns the conntrack entry of the packet's connection, as it was when the packet was
// queued. Needs Flags Conntrack. A packet has an entry only while some rule, with ct or NAT, makes
// the kernel track connections in its network namespace, and not if conntrack finds it invalid or
// a rule leaves it untracked. The entry, and the slices that it returns, are valid until the
// handler returns (NFQA_CT).
func (p *Packet) Conntrack() (entry conntrack.Entry, ok bool) {
	nest := p.data(nfqmsg.AttrCT)
	if nest == nil {
		return conntrack.Entry{}, false
	}
	return conntrack.Parse(nest)
}

// errNoEntry is returned by all changes of a connection.
var errNoEntry = errors.New("no conntrack entry came with the packet; open the queue with Flags " +
	"Conntrack, and check that a rule tracks connections (ct state) and that the packet is neither " +
	"invalid nor untracked")

// changeConn adds a change of the connection to the verdict.
func (p *Packet) changeConn(what string,
	change func(attrs []byte, e conntrack.Entry) ([]byte, error)) error {
	entry, ok := p.Conntrack()
	if !ok {
		p.countMissingEntry(what)
		return p.editError(what, errNoEntry)
	}
	err := ctedit.Check(entry)
	if err == nil {
		p.edits.Conntrack, err = change(p.edits.Conntrack, entry)
	}
	if err != nil {
		return p.editError(what, err)
	}
	p.edits.Set |= nfqmsg.EditConntrack
	return nil
}

// countMissingEntry counts and logs a change that no packet of the queue can have, for handlers
// that ignore the error.
func (p *Packet) countMissingEntry(what string) {
	q := p.queue
	if q == nil || Flags(q.flags.Load())&Conntrack != 0 {
		return
	}
	if q.stats.withoutConntrack.Add(1) == 1 {
		q.log.Warn(sender.KindFlag, "nfqueue: a handler changes connections, but the queue was opened "+
			"without the flag Conntrack; nothing is changed", "what", what)
	}
}

// SetConnMark sets the bits of the connection mark that are in mask to those of mark when the
// verdict is given. The other bits keep their value. A second call replaces mark and mask.
//
// Like every change of the connection, it fails when the packet came without a conntrack entry,
// and when the entry is a template of a rule. And like every change of the connection, it makes the
// kernel adjust sequence numbers if SetPayload changes the length of a translated TCP segment, see
// AdjustSequence.
//
// The kernel does not set the mark if it refuses another change of the connection in the same
// verdict, above all labels, see SetConnLabels (CTA_MARK, ctnetlink_change_mark).
func (p *Packet) SetConnMark(mark, mask uint32) error {
	return p.changeConn("connection mark", func(b []byte, _ conntrack.Entry) ([]byte, error) {
		return ctedit.Mark(b, mark, mask), nil
	})
}

// SetConnLabels sets the labels of the connection that are in mask to those of labels when the
// verdict is given. The other labels keep their value. A nil mask means all labels. Both have 16
// bytes, in the layout of conntrack.Entry.Labels, and are copied. A second call replaces both. It
// fails when the packet came without a conntrack entry.
//
// An entry has room for labels only if some rule in the network namespace set them when the
// connection began (nft ct label set, or the connlabel match). Without room the kernel silently
// ignores the labels, and the mark and the expectation of the same verdict. Only labels that are
// already set show that there is room (CTA_LABELS, nf_connlabels_replace).
func (p *Packet) SetConnLabels(labels, mask []byte) error {
	return p.changeConn("connection labels", func(b []byte, _ conntrack.Entry) ([]byte, error) {
		return ctedit.Labels(b, labels, mask)
	})
}

// SetConnStatus sets and clears bits of the connection's status when the verdict is given. It can
// set StatusSeenReply and StatusAssured, set and clear StatusFixedTimeout and StatusHelper, and
// refuses the other bits. A second call replaces both sets. It fails when the packet came without
// a conntrack entry.
//
// The kernel replaces the status as a whole. If another packet makes the connection seen-reply or
// assured between packet and verdict, the kernel ignores this change and all others of the
// connection in the verdict. If StatusFixedTimeout or StatusHelper were set in between, this change
// clears them unless it sets them too. On newer kernels StatusHelper marks connections whose
// expectations are to be removed: do not change it there (CTA_STATUS, ctnetlink_update_status).
func (p *Packet) SetConnStatus(set, clear conntrack.Status) error {
	return p.changeConn("connection status", func(b []byte, e conntrack.Entry) ([]byte, error) {
		return ctedit.Status(b, e, set, clear)
	})
}

// SetConnTimeout sets how long the entry lives from the verdict on if no packet comes, in seconds,
// rounded up. The next packet of the connection starts the protocol's own timeout again, unless
// StatusFixedTimeout is set, by the same verdict for example. The kernel allows 2³¹-1 of its ticks
// at most, 24 days at 1000 ticks a second. A second call replaces the timeout.
//
// It fails when the packet came without a conntrack entry, and when the entry has
// StatusFixedTimeout or StatusDying. Kernels before 6.3, and stable ones before those of 2023,
// set a timeout that is wrong by the host's uptime if the entry is not confirmed yet
// (CTA_TIMEOUT, __nf_ct_change_timeout, commit 73db1b8f2bb6).
func (p *Packet) SetConnTimeout(d time.Duration) error {
	return p.changeConn("connection timeout", func(b []byte, e conntrack.Entry) ([]byte, error) {
		return ctedit.Timeout(b, e, d)
	})
}

// SetConnHelperInfo sets the private data of a connection's userspace helper (nfnetlink_cthelper)
// when the verdict is given. info must be as long as conntrack.Entry.HelperInfo, and is copied. A
// second call replaces it.
//
// It fails when the packet came without a conntrack entry, when the connection has no such helper,
// and when the connection was itself expected by another (CTA_HELP_INFO, ctnetlink_change_helper).
//
// A verdict cannot attach a helper. A rule does that when a connection begins (nft ct helper set).
func (p *Packet) SetConnHelperInfo(info []byte) error {
	return p.changeConn("connection helper info", func(b []byte, e conntrack.Entry) ([]byte, error) {
		return ctedit.HelperInfo(b, e, info)
	})
}

// AdjustSequence makes the kernel adjust the sequence numbers of later TCP segments of the
// connection, and the acknowledgements of the other direction, by the bytes that SetPayload or
// SetBody adds to this packet or removes from it. It does nothing if the length stays. The kernel
// adjusts translated connections only, and only if they have a helper or went through the SYN
// proxy: it keeps no room for the adjustment of others.
//
// It fails when the packet came without a conntrack entry, when the entry or the packet is not
// TCP over IPv4 (for IPv6, and in an ICMP error, the kernel looks for the sequence number in the
// wrong place), when the connection is not translated, and when it has neither helper nor SYN
// proxy. With a helper there may still be no room, which the kernel does not report: attach
// helpers before NAT, in a chain of lower priority, because most kernels make the room when they
// translate.
//
// Any other change of the connection has the same effect on a translated TCP connection whose
// packet changes its length, even in the headers only. Where AdjustSequence would fail, do not
// combine the two in one verdict: IPv6 connections break, and without room the kernel prints a
// warning (nfqnl_recv_verdict, ctnetlink_glue_seqadj, nf_ct_tcp_seqadj_set).
func (p *Packet) AdjustSequence() error {
	protocol := TCP
	if flow, ok := p.Flow(); ok {
		protocol = flow.Protocol
	}
	return p.changeConn("sequence adjustment", func(b []byte, e conntrack.Entry) ([]byte, error) {
		return b, ctedit.Adjustable(e, protocol)
	})
}

// SetExpect makes the packet's connection expect another one when the verdict is given. A verdict
// carries one expectation at most: a second call replaces it.
//
// It fails when the packet came without a conntrack entry, when its connection has no helper, whose
// limits and timeout apply, and when the kernel could not accept the expectation. The kernel
// silently ignores the expectation if Helper or NAT.Function does not exist, if the limit of
// expectations is reached, or if another connection expects the same. An expectation takes effect
// once the master is confirmed (NFQA_EXP, ctnetlink_glue_attach_expect).
func (p *Packet) SetExpect(x conntrack.Expectation) error {
	err := p.changeConn("expectation", func(b []byte, e conntrack.Entry) ([]byte, error) {
		exp, err := ctedit.Expect(p.edits.Expect[:0], e, &x)
		if err == nil {
			p.edits.Expect = exp
		}
		return b, err
	})
	if err == nil {
		// With EditConntrack: the kernel reads NFQA_EXP only behind NFQA_CT.
		p.edits.Set |= nfqmsg.EditExpect
	}
	return err
}
