// SPDX-License-Identifier: GPL-2.0-or-later

// Package ctedit encodes changes of a connection that a verdict carries, and refuses what the
// kernel would silently ignore. Each function appends attributes to those of earlier changes,
// replaces an earlier change of the same kind, and returns the attributes as they were with an
// error.
//
// The kernel applies the changes in the order timeout, status, helper, labels, mark
// (ctnetlink_glue_parse_ct). At the first that it refuses it stops, without an error, and then
// neither attaches the expectation nor adjusts sequence numbers (nfqnl_ct_parse).
package ctedit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

var (
	errTemplate = errors.New("the entry is a template, which a rule made for future connections, " +
		"so the change would apply to all of them; queue the packet behind connection tracking, " +
		"at a priority above -200")
	errNoHelper = errors.New("the connection has no helper; attach one with a rule " +
		"(nft ct helper set) when the connection begins")
	errNoTuple = errors.New("the conntrack entry has no original tuple")
)

// Check says why an entry must not be changed at all.
func Check(e conntrack.Entry) error {
	if e.Status()&conntrack.StatusTemplate != 0 {
		return errTemplate
	}
	return nil
}

// cut removes an attribute that an earlier change appended.
func cut(b []byte, typ uint16) []byte {
	for rest := b; ; {
		t, _, next, more := nlwire.NextAttr(rest)
		if !more {
			return b
		}
		if t == typ {
			return append(b[:len(b)-len(rest)], next...)
		}
		rest = next
	}
}

// Mark sets the bits of the connection mark that are in mask.
func Mark(b []byte, mark, mask uint32) []byte {
	b = cut(cut(b, ctattr.Mark), ctattr.MarkMask)
	// The kernel flips the bits of mark that are not in mask.
	b = nlwire.AppendAttrU32(b, ctattr.Mark, mark&mask)
	return nlwire.AppendAttrU32(b, ctattr.MarkMask, mask)
}

// Labels sets the labels of the connection that are in mask, or all with a nil mask.
func Labels(b, labels, mask []byte) ([]byte, error) {
	if len(labels) != ctattr.LabelsLen || mask != nil && len(mask) != ctattr.LabelsLen {
		return b, fmt.Errorf("labels have %d bytes and the mask %d; both must have %d",
			len(labels), len(mask), ctattr.LabelsLen)
	}
	b = cut(cut(b, ctattr.Labels), ctattr.LabelsMask)
	b = nlwire.AppendAttr(b, ctattr.Labels, labels)
	if mask != nil {
		// The kernel flips the bits of labels that are not in mask.
		value := b[len(b)-ctattr.LabelsLen:]
		for i, m := range mask {
			value[i] &= m
		}
		b = nlwire.AppendAttr(b, ctattr.LabelsMask, mask)
	}
	return b, nil
}

const (
	// settableStatus are the bits outside of IPS_UNCHANGEABLE_MASK.
	settableStatus = conntrack.StatusSeenReply | conntrack.StatusAssured |
		conntrack.StatusFixedTimeout | conntrack.StatusHelper
	clearableStatus = conntrack.StatusFixedTimeout | conntrack.StatusHelper
)

// Status sets and clears bits of the status that e has.
func Status(b []byte, e conntrack.Entry, set, clear conntrack.Status) ([]byte, error) {
	switch {
	case set&^settableStatus != 0:
		return b, fmt.Errorf("the kernel does not let anyone set %v", set&^settableStatus)
	case clear&^clearableStatus != 0:
		return b, fmt.Errorf("the kernel does not let anyone clear %v", clear&^clearableStatus)
	case set&clear != 0:
		return b, fmt.Errorf("%v cannot be both set and cleared", set&clear)
	}
	status := (e.Status() | set) &^ clear
	return nlwire.AppendAttrU32(cut(b, ctattr.Status), ctattr.Status, uint32(status)), nil
}

// Timeout sets the timeout of e, in seconds rounded up.
func Timeout(b []byte, e conntrack.Entry, d time.Duration) ([]byte, error) {
	if d < 0 {
		return b, fmt.Errorf("%v is negative", d)
	}
	if s := e.Status() & (conntrack.StatusFixedTimeout | conntrack.StatusDying); s != 0 {
		return b, fmt.Errorf("the connection is %v, so the kernel no longer changes its timeout", s)
	}
	seconds := d / time.Second
	if d%time.Second != 0 {
		seconds++
	}
	seconds = min(seconds, math.MaxUint32)
	return nlwire.AppendAttrU32(cut(b, ctattr.Timeout), ctattr.Timeout, uint32(seconds)), nil
}

// HelperInfo replaces the private data of e's helper.
func HelperInfo(b []byte, e conntrack.Entry, info []byte) ([]byte, error) {
	name, have := e.Helper(), e.HelperInfo()
	switch {
	case name == nil:
		return b, errNoHelper
	case have == nil:
		return b, fmt.Errorf("the helper %s has no private data; only userspace helpers have", name)
	case len(info) != len(have):
		return b, fmt.Errorf("%d bytes cannot replace %d", len(info), len(have))
	case e.Status()&conntrack.StatusExpected != 0:
		return b, errors.New("the kernel does not change the helper of an expected connection")
	}
	b = cut(b, ctattr.Help)
	start := len(b)
	b = nlwire.AppendNest(b, ctattr.Help)
	b = appendString(b, ctattr.HelpName, name)
	b = nlwire.AppendAttr(b, ctattr.HelpInfo, info)
	nlwire.EndNest(b, start)
	return b, nil
}

// Adjustable says why the kernel would not adjust the sequence numbers of e's connection when the
// length of a packet of the given protocol changes.
func Adjustable(e conntrack.Entry, protocol ippkt.Protocol) error {
	t, ok := e.Original()
	_, _, adjusted := e.SeqAdj()
	_, proxied := e.Synproxy()
	switch {
	case !ok || t.Protocol != ippkt.TCP || !t.Src.Is4() || protocol != ippkt.TCP:
		return errors.New("the kernel adjusts TCP over IPv4 only")
	case e.Status()&(conntrack.StatusSrcNAT|conntrack.StatusDstNAT) == 0:
		return errors.New("the kernel adjusts only connections whose addresses are translated (NAT)")
	case !adjusted && !proxied && e.Helper() == nil: // it keeps no room for the adjustment
		return errNoHelper
	}
	return nil
}
