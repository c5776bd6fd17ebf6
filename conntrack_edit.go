// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// The kernel applies what goes with a verdict in NFQA_CT to the packet's entry in
// the order timeout, status, helper, labels, mark (ctnetlink_glue_parse_ct). At
// the first that it refuses it stops, without a word, and then attaches no
// expectation and adjusts no sequence numbers either (nfqnl_ct_parse). So what it
// would refuse is refused here, as far as the packet tells.

var errNoEntry = errors.New("no conntrack entry came with the packet; open the queue with Flags Conntrack, " +
	"and see that a rule tracks connections (ct state) and the packet is neither invalid nor untracked")

var errTemplate = errors.New("the entry is a template that a rule has made for connections to come, and all of them would change; " +
	"queue the packet behind connection tracking, at a priority above -200")

var errNoHelper = errors.New("the connection has no helper; attach one by a rule (nft ct helper set) when it begins")

// entryOf returns the packet's entry for a change of what.
func (p *Packet) entryOf(what string) (ConntrackEntry, error) {
	entry, ok := p.Conntrack()
	switch {
	case !ok:
		return entry, p.editError(what, errNoEntry)
	case entry.Status()&StatusTemplate != 0:
		return entry, p.editError(what, errTemplate)
	}
	return entry, nil
}

// SetConnMark sets the bits of the connection mark that are in mask to those of
// mark, when the verdict is given; all others stay. Calling it again replaces the
// mark and the mask. It fails when the packet came without a conntrack entry, as all changes of the
// connection do, and when the entry is a template of a rule.
//
// Like every change of the connection it makes the kernel adjust sequence numbers if SetPayload
// changes the length of a translated TCP segment, see AdjustSequence.
//
// The mark is not set when the kernel refuses another change of the connection
// that goes with the same verdict: labels above all, see SetConnLabels (CTA_MARK,
// ctnetlink_change_mark).
func (p *Packet) SetConnMark(mark, mask uint32) error {
	if _, err := p.entryOf("connection mark"); err != nil {
		return err
	}
	p.edits.CutConntrack(ctaMark)
	p.edits.CutConntrack(ctaMarkMask)
	// The kernel flips the bits of mark that are not in mask.
	p.edits.Conntrack = nlwire.AppendAttrU32(p.edits.Conntrack, ctaMark, mark&mask)
	p.edits.Conntrack = nlwire.AppendAttrU32(p.edits.Conntrack, ctaMarkMask, mask)
	return nil
}

// SetConnLabels sets the labels of the connection that are in mask to those of
// labels, when the verdict is given; all others stay. A nil mask stands for all.
// Both have 16 bytes, laid out as ConntrackEntry.Labels says, and are copied.
// Calling it again replaces labels and mask. It fails when the packet came without
// a conntrack entry.
//
// An entry has room for labels only if some rule in the network namespace set them
// when the connection began (nft ct label set, or the connlabel match). Otherwise
// the kernel ignores the labels, and with them the mark and the expectation of the
// same verdict, and says nothing. It does not tell whether there is room either,
// but for labels that are set already (CTA_LABELS, nf_connlabels_replace).
func (p *Packet) SetConnLabels(labels, mask []byte) error {
	const what = "connection labels"
	if _, err := p.entryOf(what); err != nil {
		return err
	}
	if len(labels) != connLabelsLen || mask != nil && len(mask) != connLabelsLen {
		return p.editError(what, fmt.Errorf("labels have %d bytes and the mask %d; both must have %d", len(labels), len(mask), connLabelsLen))
	}
	p.edits.CutConntrack(ctaLabels)
	p.edits.CutConntrack(ctaLabelsMask)
	p.edits.Conntrack = nlwire.AppendAttr(p.edits.Conntrack, ctaLabels, labels)
	if mask != nil {
		// The kernel flips the bits of labels that are not in mask.
		value := p.edits.Conntrack[len(p.edits.Conntrack)-connLabelsLen:]
		for i, m := range mask {
			value[i] &= m
		}
		p.edits.Conntrack = nlwire.AppendAttr(p.edits.Conntrack, ctaLabelsMask, mask)
	}
	return nil
}

const (
	// settableStatus are the bits outside of IPS_UNCHANGEABLE_MASK.
	settableStatus  = StatusSeenReply | StatusAssured | StatusFixedTimeout | StatusHelper
	clearableStatus = StatusFixedTimeout | StatusHelper
)

// SetConnStatus sets and clears bits of the connection's status when the verdict
// is given. StatusSeenReply and StatusAssured can be set, StatusFixedTimeout and
// StatusHelper be set and cleared; other bits are refused. Calling it again
// replaces both sets. It fails when the packet came without a conntrack entry.
//
// The kernel takes the status as a whole. So it ignores the change, and all others
// of the connection that go with the verdict, when between packet and verdict
// another packet has made the connection seen-reply or assured, and clears StatusFixedTimeout and
// StatusHelper if they were set in between and are not set here (CTA_STATUS,
// ctnetlink_update_status). Newer kernels know by StatusHelper which connections may have expectations
// to be collected: leave it alone there.
func (p *Packet) SetConnStatus(set, clear ConnStatus) error {
	const what = "connection status"
	entry, err := p.entryOf(what)
	if err != nil {
		return err
	}
	switch {
	case set&^settableStatus != 0:
		return p.editError(what, fmt.Errorf("the kernel lets nobody set %v", set&^settableStatus))
	case clear&^clearableStatus != 0:
		return p.editError(what, fmt.Errorf("the kernel lets nobody clear %v", clear&^clearableStatus))
	case set&clear != 0:
		return p.editError(what, fmt.Errorf("%v cannot be both set and cleared", set&clear))
	}
	p.edits.CutConntrack(ctaStatus)
	p.edits.Conntrack = nlwire.AppendAttrU32(p.edits.Conntrack, ctaStatus, uint32((entry.Status()|set)&^clear))
	return nil
}

// SetConnTimeout sets how long the entry lives from the verdict on if no packet
// comes, in seconds, rounded up. The next packet of the connection starts the
// protocol's own timeout again, unless StatusFixedTimeout is set as well; that may
// go with the same verdict. The kernel takes 2³¹-1 of its ticks at most, which are
// 24 days at 1000 a second. Calling it again replaces the timeout.
//
// It fails when the packet came without a conntrack entry, and when the entry has
// StatusFixedTimeout or StatusDying. Kernels before 6.3, and before the stable ones of 2023, get the timeout of
// an entry wrong by the host's uptime that is not yet confirmed (CTA_TIMEOUT,
// __nf_ct_change_timeout, commit 73db1b8f2bb6).
func (p *Packet) SetConnTimeout(d time.Duration) error {
	const what = "connection timeout"
	entry, err := p.entryOf(what)
	if err != nil {
		return err
	}
	if d < 0 {
		return p.editError(what, fmt.Errorf("%v is negative", d))
	}
	if s := entry.Status() & (StatusFixedTimeout | StatusDying); s != 0 {
		return p.editError(what, fmt.Errorf("the connection is %v, and the kernel changes its timeout no more", s))
	}
	seconds := d / time.Second
	if d%time.Second != 0 {
		seconds++
	}
	p.edits.CutConntrack(ctaTimeout)
	p.edits.Conntrack = nlwire.AppendAttrU32(p.edits.Conntrack, ctaTimeout, uint32(min(seconds, math.MaxUint32)))
	return nil
}

// SetConnHelperInfo sets the private data of a connection's helper in userspace
// (nfnetlink_cthelper) when the verdict is given. It must be as long as
// ConntrackEntry.HelperInfo and is copied. Calling it again replaces it.
//
// It fails when the packet came without a conntrack entry, when the connection has
// no such helper, and when it was itself expected by another (CTA_HELP_INFO,
// ctnetlink_change_helper).
//
// A verdict cannot attach a helper: the kernel does that when a connection begins,
// for a rule (nft ct helper set).
func (p *Packet) SetConnHelperInfo(info []byte) error {
	const what = "connection helper info"
	entry, err := p.entryOf(what)
	if err != nil {
		return err
	}
	name, have := entry.Helper(), entry.HelperInfo()
	switch {
	case name == nil:
		return p.editError(what, errNoHelper)
	case have == nil:
		return p.editError(what, fmt.Errorf("the helper %s keeps none; only helpers in userspace do", name))
	case len(info) != len(have):
		return p.editError(what, fmt.Errorf("%d bytes cannot replace %d", len(info), len(have)))
	case entry.Status()&StatusExpected != 0:
		return p.editError(what, errors.New("the kernel leaves the helper of a connection alone that another one expected"))
	}
	p.edits.CutConntrack(ctaHelp)
	start := len(p.edits.Conntrack)
	b := nlwire.AppendNest(p.edits.Conntrack, ctaHelp)
	b = appendString(b, ctaHelpName, name)
	b = nlwire.AppendAttr(b, ctaHelpInfo, info)
	nlwire.EndNest(b, start)
	p.edits.Conntrack = b
	return nil
}

// AdjustSequence makes the kernel adjust the sequence numbers of later TCP segments
// of the connection, and the acknowledgements of the other direction, by what
// SetPayload adds to the length of this one or takes from it. Without a payload of
// another length it does nothing. It works for translated connections only, and
// needs one that has a helper or went through the SYN proxy: for others the kernel keeps no room to
// note the adjustment.
//
// It fails when the packet came without a conntrack entry, when that or the packet is not IPv4
// and TCP (for IPv6, and an ICMP error of the connection, the kernel looks for the sequence number in
// the wrong place), when no address is translated, and when there is nothing that room is kept for.
// With a helper there may be none despite it, which the kernel does not tell: attach helpers
// before addresses are translated, in a chain of a priority below that of NAT, since most kernels
// make the room when they translate.
//
// Everything else that changes the connection with a verdict has the same effect
// on a translated TCP connection: the kernel adjusts when the packet's length changes, if only that of its
// headers, and anything at all is said of the connection. Where AdjustSequence would fail, do not let the two
// go with one verdict: IPv6 connections break, and without room the kernel prints a warning
// (nfqnl_recv_verdict, ctnetlink_glue_seqadj, nf_ct_tcp_seqadj_set).
func (p *Packet) AdjustSequence() error {
	const what = "sequence adjustment"
	entry, err := p.entryOf(what)
	if err != nil {
		return err
	}
	t, ok := entry.Original()
	flow, told := p.Flow()
	switch {
	case !ok || t.Protocol != TCP || !t.Src.Is4() || told && flow.Protocol != TCP:
		return p.editError(what, errors.New("the kernel adjusts TCP over IPv4 only"))
	case entry.Status()&(StatusSrcNAT|StatusDstNAT) == 0:
		return p.editError(what, errors.New("the kernel adjusts only connections whose addresses are translated (NAT)"))
	case !entry.adjustable():
		return p.editError(what, errNoHelper)
	}
	p.edits.Set |= nfqmsg.EditConntrack
	return nil
}

// adjustable reports whether there is something for which the kernel keeps room to note adjustments.
func (e ConntrackEntry) adjustable() bool {
	_, _, adjusted := e.SeqAdj()
	_, proxied := e.Synproxy()
	return adjusted || proxied || e.Helper() != nil
}
