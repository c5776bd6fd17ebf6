// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// splitAttrs takes a list of attributes apart. Each may be there once.
func splitAttrs(t testing.TB, b []byte) map[uint16][]byte {
	t.Helper()
	attrs := make(map[uint16][]byte)
	for {
		typ, d, rest, more := nlwire.NextAttr(b)
		if !more {
			if len(b) != 0 {
				t.Fatalf("%d bytes behind the last attribute", len(b))
			}
			return attrs
		}
		if _, twice := attrs[typ]; twice {
			t.Fatalf("attribute %d is there twice", typ)
		}
		attrs[typ], b = d, rest
	}
}

// verdictAttrs returns the attributes of the verdict on a packet, and those in its NFQA_CT,
// nil if it has none.
func verdictAttrs(t testing.TB, p *Packet) (all, ct map[uint16][]byte) {
	t.Helper()
	o := nfqmsg.NewOutgoing(1)
	o.Add(nfqmsg.Decision{ID: p.ID(), Word: uint32(Accept), Edits: &p.edits})
	all = splitAttrs(t, bytes.Join(o.Datagram(), nil)[nfqmsg.HeadersLen:])
	if nest, ok := all[nfqmsg.AttrCT]; ok {
		ct = splitAttrs(t, nest)
	}
	return all, ct
}

// wantCT checks that the verdict says this of the connection and nothing else.
func wantCT(t testing.TB, p *Packet, want map[uint16][]byte) {
	t.Helper()
	if _, got := verdictAttrs(t, p); !equalAttrs(got, want) {
		t.Errorf("NFQA_CT has %x, want %x", got, want)
	}
}

func equalAttrs(a, b map[uint16][]byte) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	for typ, d := range a {
		if e, ok := b[typ]; !ok || !bytes.Equal(d, e) {
			return false
		}
	}
	return true
}

var tcpTuple = cttest.Nest(ctattr.TupleOrig, cttest.IP("192.0.2.1", "198.51.100.1"),
	cttest.Ports(6, 40000, 21))

func ctStatus(s conntrack.Status) []byte { return cttest.Attr(ctattr.Status, be32(uint32(s))...) }

func mustSet(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantRefused checks that a setter fails and leaves the verdict as it was.
func wantRefused(t *testing.T, what string, p *Packet, set func() error) {
	t.Helper()
	before, _ := verdictAttrs(t, p)
	err := set()
	if e := new(OpError); !errors.As(err, &e) || e.Queue != p.Queue() {
		t.Errorf("%s: %v, want an OpError", what, err)
	}
	if after, _ := verdictAttrs(t, p); !equalAttrs(before, after) {
		t.Errorf("%s: the verdict had %x, now %x", what, before, after)
	}
}

func TestSetConnMark(t *testing.T) {
	p := tracked(t, conntrack.StateNew, tcpTuple)
	wantCT(t, p, nil)
	mustSet(t, p.SetConnMark(0xffff1234, 0xff00ffff))
	// Bits outside of the mask would flip those of the connection.
	wantCT(t, p, map[uint16][]byte{ctattr.Mark: be32(0xff001234), ctattr.MarkMask: be32(0xff00ffff)})
	mustSet(t, p.SetConnMark(1, math.MaxUint32))
	wantCT(t, p, map[uint16][]byte{ctattr.Mark: be32(1), ctattr.MarkMask: be32(math.MaxUint32)})
}

func TestSetConnLabels(t *testing.T) {
	p := tracked(t, conntrack.StateNew, tcpTuple)
	labels, mask := bytes.Repeat([]byte{0xf5}, 16), bytes.Repeat([]byte{0x0f}, 16)
	mustSet(t, p.SetConnLabels(labels, mask))
	wantCT(t, p, map[uint16][]byte{ctattr.Labels: bytes.Repeat([]byte{0x05}, 16),
		ctattr.LabelsMask: mask})
	if labels[0] != 0xf5 {
		t.Error("the caller's labels were changed")
	}
	for name, set := range map[string]func() error{
		"short labels": func() error { return p.SetConnLabels(labels[:12], nil) },
		"long labels":  func() error { return p.SetConnLabels(append(labels, 0, 0, 0, 0), mask) },
		"short mask":   func() error { return p.SetConnLabels(labels, mask[:4]) },
		"empty mask":   func() error { return p.SetConnLabels(labels, []byte{}) },
	} {
		wantRefused(t, name, p, set)
	}
	mustSet(t, p.SetConnLabels(labels, nil))
	wantCT(t, p, map[uint16][]byte{ctattr.Labels: labels})
}

func TestSetConnStatus(t *testing.T) {
	const have = conntrack.StatusSeenReply | conntrack.StatusConfirmed | conntrack.StatusHelper
	p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(have))
	mustSet(t, p.SetConnStatus(conntrack.StatusAssured|conntrack.StatusFixedTimeout,
		conntrack.StatusHelper))
	const want = conntrack.StatusSeenReply | conntrack.StatusConfirmed | conntrack.StatusAssured |
		conntrack.StatusFixedTimeout
	wantCT(t, p, map[uint16][]byte{ctattr.Status: be32(uint32(want))})
	for name, set := range map[string]func() error{
		"setting confirmed": func() error { return p.SetConnStatus(conntrack.StatusConfirmed, 0) },
		"setting snat": func() error {
			return p.SetConnStatus(conntrack.StatusAssured|conntrack.StatusSrcNAT, 0)
		},
		"setting unknown bits": func() error { return p.SetConnStatus(1<<31, 0) },
		"clearing seen-reply":  func() error { return p.SetConnStatus(0, conntrack.StatusSeenReply) },
		"clearing assured":     func() error { return p.SetConnStatus(0, conntrack.StatusAssured) },
		"both": func() error {
			return p.SetConnStatus(conntrack.StatusHelper,
				conntrack.StatusHelper)
		},
	} {
		wantRefused(t, name, p, set)
	}
	mustSet(t, p.SetConnStatus(0, 0))
	wantCT(t, p, map[uint16][]byte{ctattr.Status: be32(uint32(have))})
}

func TestSetConnTimeout(t *testing.T) {
	p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(conntrack.StatusConfirmed))
	for _, c := range []struct {
		d    time.Duration
		want uint32
	}{
		{0, 0}, {1, 1}, {time.Second, 1}, {time.Second + 1, 2}, {time.Hour, 3600}, {math.MaxInt64,
			math.MaxUint32},
	} {
		mustSet(t, p.SetConnTimeout(c.d))
		wantCT(t, p, map[uint16][]byte{ctattr.Timeout: be32(c.want)})
	}
	wantRefused(t, "negative", p, func() error { return p.SetConnTimeout(-1) })
	for _, s := range []conntrack.Status{conntrack.StatusFixedTimeout, conntrack.StatusDying} {
		p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(conntrack.StatusConfirmed|s))
		wantRefused(t, s.String(), p, func() error { return p.SetConnTimeout(time.Second) })
	}
}

func TestSetConnHelperInfo(t *testing.T) {
	help := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "sip\x00"),
		cttest.Attr(ctattr.HelpInfo, 1, 2, 3, 4, 5))
	p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(conntrack.StatusConfirmed), help)

	mustSet(t, p.SetConnHelperInfo([]byte{0, 0, 0, 0, 0}))
	mustSet(t, p.SetConnHelperInfo([]byte{5, 4, 3, 2, 1}))
	_, ct := verdictAttrs(t, p)
	if got := splitAttrs(t, ct[ctattr.Help]); len(ct) != 1 || !equalAttrs(got,
		map[uint16][]byte{ctattr.HelpName: []byte("sip\x00"), ctattr.HelpInfo: {5, 4, 3, 2, 1}}) {
		t.Errorf("NFQA_CT has %x, CTA_HELP %x", ct, got)
	}
	wantRefused(t, "another length", p, func() error {
		return p.SetConnHelperInfo([]byte{1, 2, 3,
			4})
	})

	for name, attrs := range map[string][][]byte{
		"no helper": {ctStatus(conntrack.StatusConfirmed)},
		"expected":  {ctStatus(conntrack.StatusConfirmed | conntrack.StatusExpected), help},
	} {
		p := tracked(t, conntrack.StateEstablished, append(attrs, tcpTuple)...)
		wantRefused(t, name, p, func() error { return p.SetConnHelperInfo([]byte{5, 4, 3, 2, 1}) })
	}
	p = tracked(t, conntrack.StateEstablished, tcpTuple, cttest.Nest(ctattr.Help,
		cttest.Text(ctattr.HelpName, "ftp\x00")))
	wantRefused(t, "a helper of the kernel", p, func() error { return p.SetConnHelperInfo(nil) })
}

func TestAdjustSequence(t *testing.T) {
	ftp := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "ftp\x00"))
	segment := func(attrs ...[]byte) *Packet {
		p := tracked(t, conntrack.StateEstablished, attrs...)
		p.Payload()[9] = uint8(TCP)
		return p
	}
	dnat := ctStatus(conntrack.StatusConfirmed | conntrack.StatusDstNAT)
	proxied := cttest.Nest(ctattr.Synproxy, cttest.Attr(ctattr.SynproxyISN, be32(1)...),
		cttest.Attr(ctattr.SynproxyITS, be32(2)...), cttest.Attr(ctattr.SynproxyTSOff, be32(3)...))
	adjustment := append(cttest.Attr(ctattr.SeqAdjCorrectionPos, be32(1)...),
		append(cttest.Attr(ctattr.SeqAdjOffsetBefore, be32(2)...),
			cttest.Attr(ctattr.SeqAdjOffsetAfter, be32(3)...)...)...)
	adjusted := append(cttest.Nest(ctattr.SeqAdjOrig, adjustment),
		cttest.Nest(ctattr.SeqAdjReply, adjustment)...)
	for _, room := range [][]byte{ftp, proxied, adjusted} {
		p := segment(tcpTuple, dnat, room)
		mustSet(t, p.AdjustSequence())
		wantCT(t, p, map[uint16][]byte{})
	}
	p := segment(tcpTuple, dnat, ftp)
	p.Payload()[9] = uint8(ICMP)
	wantRefused(t, "an ICMP error", p, p.AdjustSequence)
	for name, attrs := range map[string][][]byte{
		"no NAT":    {tcpTuple, ctStatus(conntrack.StatusConfirmed), ftp},
		"no helper": {tcpTuple, ctStatus(conntrack.StatusSrcNAT)},
		"UDP": {cttest.Nest(ctattr.TupleOrig, cttest.IP("192.0.2.1", "198.51.100.1"),
			cttest.Ports(17, 1, 2)), ctStatus(conntrack.StatusSrcNAT), ftp},
		"IPv6": {cttest.Nest(ctattr.TupleOrig, cttest.IP("::1", "::2"), cttest.Ports(6, 1, 2)),
			ctStatus(conntrack.StatusSrcNAT), ftp},
		"without tuple": {ctStatus(conntrack.StatusSrcNAT), ftp},
	} {
		p := segment(attrs...)
		wantRefused(t, name, p, p.AdjustSequence)
	}
}

// TestConnEditsTogether: each says its part of the connection once, in whatever
// order and however often they are called, and the next packet starts anew.
func TestConnEditsTogether(t *testing.T) {
	help := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "sip\x00"),
		cttest.Attr(ctattr.HelpInfo, 1, 2, 3))
	p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(conntrack.StatusConfirmed), help)
	labels := []byte("0123456789abcdef")
	edits := []func() error{
		func() error { return p.SetConnMark(7, 0xff) },
		func() error { return p.SetConnLabels(labels, labels) },
		func() error { return p.SetConnStatus(conntrack.StatusFixedTimeout, 0) },
		func() error { return p.SetConnTimeout(time.Minute) },
		func() error { return p.SetConnHelperInfo([]byte{3, 2, 1}) },
	}
	want := map[uint16][]byte{
		ctattr.Mark: be32(7), ctattr.MarkMask: be32(0xff), ctattr.Labels: labels,
		ctattr.LabelsMask: labels,
		ctattr.Status:     be32(uint32(conntrack.StatusConfirmed | conntrack.StatusFixedTimeout)),
		ctattr.Timeout:    be32(60),
		ctattr.Help: append(cttest.Text(ctattr.HelpName, "sip\x00"),
			cttest.Attr(ctattr.HelpInfo, 3, 2, 1)...),
	}
	for i := range edits {
		for _, edit := range slices.Concat(edits[i:], edits[:i], edits) {
			mustSet(t, edit())
		}
		wantCT(t, p, want)
		clone := p.Clone()
		mustSet(t, p.SetConnMark(8, 0xff))
		wantCT(t, clone, want)
		mustSet(t, p.reset(nil, p.buf, p.msg))
		wantCT(t, p, nil)
	}
}

// TestConnEditsOfTemplate: what all connections of a rule begin with is not changed by the packet
// of one.
func TestConnEditsOfTemplate(t *testing.T) {
	p := tracked(t, conntrack.StateNew, ctStatus(conntrack.StatusTemplate))
	wantRefused(t, "mark", p, func() error { return p.SetConnMark(1, 1) })
}

func TestConnEditsWithoutEntry(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 9, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)}))
	mustSet(t, err)
	for name, set := range map[string]func() error{
		"SetConnMark":       func() error { return p.SetConnMark(1, 1) },
		"SetConnLabels":     func() error { return p.SetConnLabels(make([]byte, 16), nil) },
		"SetConnStatus":     func() error { return p.SetConnStatus(conntrack.StatusAssured, 0) },
		"SetConnTimeout":    func() error { return p.SetConnTimeout(1) },
		"SetConnHelperInfo": func() error { return p.SetConnHelperInfo(nil) },
		"AdjustSequence":    p.AdjustSequence,
		"SetExpect":         func() error { return p.SetExpect(conntrack.Expectation{}) },
	} {
		wantRefused(t, name, p, set)
		if err := set(); !errors.Is(err, errNoEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConnEditsNoAllocations: a packet's memory for edits serves the next one too.
func TestConnEditsNoAllocations(t *testing.T) {
	help := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "sip\x00"),
		cttest.Attr(ctattr.HelpInfo, 1, 2, 3))
	p := tracked(t, conntrack.StateEstablished, tcpTuple, ctStatus(conntrack.StatusConfirmed), help)
	labels := []byte("0123456789abcdef")
	expect := conntrack.Expectation{Protocol: 6, Dst: netip.MustParseAddr("192.0.2.1"), DstPort: 1024}
	edit := func() {
		mustSet(t, p.reset(nil, p.buf, p.msg))
		mustSet(t, p.SetConnMark(7, 0xff))
		mustSet(t, p.SetConnLabels(labels, labels))
		mustSet(t, p.SetConnStatus(conntrack.StatusFixedTimeout, 0))
		mustSet(t, p.SetConnTimeout(time.Minute))
		mustSet(t, p.SetConnHelperInfo(labels[:3]))
		mustSet(t, p.SetExpect(expect))
		mustSet(t, p.SetConnMark(8, 0xff))
	}
	if n := testing.AllocsPerRun(100, edit); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
