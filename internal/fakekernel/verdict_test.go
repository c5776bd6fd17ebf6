// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

func TestVerdictCodes(t *testing.T) {
	for _, c := range []struct {
		verdict uint32
		passed  bool
		cause   Cause
	}{
		{0, false, Decided},
		{1, true, Decided},
		{4, true, Decided}, // Match says no
		{5, true, Decided},
		{0x00010000, false, Decided},
		{0x00010001, true, Decided}, // acts as STOP
		{0x00010004, false, Decided},
		{0x00090003, false, NotBound},
		{0x00098003, true, NotBound},
	} {
		l := newLab(t)
		l.bind(0)
		f := l.k.Send(Rule{Match: func(Packet) bool { return false }}, ip4(1))
		l.want([]int32{0}, verdictFor(c.verdict, 1))
		l.wantOutcome(f, c.passed, c.cause, Hop{0, 1, c.verdict, false})
	}
}

func TestVerdictIsForOnePacket(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1), ip4(1), ip4(1))
	l.want([]int32{0, kernel.ENOENT}, verdictFor(1, 2), verdictFor(1, 2))
	l.wantQueued(f[0], 0, 1)
	l.wantOutcome(f[1], true, Decided, Hop{0, 2, 1, false})
	l.wantQueued(f[2], 0, 3)
}

func TestRepeat(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	var asked []uint32
	f := l.k.Send(Rule{Match: func(p Packet) bool {
		asked = append(asked, p.Mark)
		l.k.SetLink(9, "the lock is free")
		return p.Mark != 2
	}}, ip4(1))
	l.want([]int32{0}, verdictFor(verdictRepeat, 1, u32(attrMark, 1)))
	l.wantQueued(f, 0, 2)
	l.want([]int32{0}, verdictFor(verdictRepeat, 2, u32(attrMark, 2)))
	l.wantOutcome(f, true, Decided, Hop{0, 1, 4, false}, Hop{0, 2, 4, false})
	if len(asked) != 2 || asked[0] != 1 || asked[1] != 2 {
		t.Errorf("Match was asked with the marks %v", asked)
	}
	// Without Match the rule always matches.
	f = l.send(ip4(1))[0]
	for id := uint32(3); id < 10; id++ {
		l.want([]int32{0}, verdictFor(verdictRepeat, id))
		l.wantQueued(f, 0, id+1)
	}
}

func TestRequeue(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	l.bind(0xffff, u32(cfgQueueMaxLen, 1))
	f := l.send(ip4(1), ip4(1), ip4(1))
	l.want([]int32{0, 0, 0}, verdictFor(0xffff0003, 1), verdictFor(0xffff8003, 2),
		verdictFor(0x00000003, 3))
	l.wantQueued(f[0], 0xffff, 1)
	l.wantOutcome(f[1], false, QueueFull, Hop{0, 2, 0xffff8003,
		false}) // bypass is not for full queues
	l.wantQueued(f[2], 0, 4)
	l.want([]int32{0}, request(msgVerdict, 0xffff, verdictAttr(1, 1)))
	l.wantOutcome(f[0], true, Decided, Hop{0, 1, 0xffff0003, false}, Hop{0xffff, 1, 1, false})
}

func TestBatch(t *testing.T) {
	batch := func(id uint32, attrs ...[]byte) []byte {
		return request(msgVerdictBatch, 0, append([][]byte{verdictAttr(1, id)}, attrs...)...)
	}
	const first = 0xfffffffd // five packets: fffffffd to 1
	for _, c := range []struct {
		id      uint32
		decided int
	}{
		{first - 1, 0},
		{first, 1},
		{0xffffffff, 3},
		{0, 4},
		{1, 5},
		{1000, 5},
		{0x7ffffffc, 5}, // first + 0x7fffffff
		{0x7ffffffe, 0}, // first + 0x80000001
	} {
		l := newLab(t)
		l.k.SetFirstID(first)
		l.bind(0)
		f := l.send(ip4(1), ip4(1), ip4(1), ip4(1), ip4(1))
		want := []int32{0}
		if c.decided == 0 {
			want = []int32{kernel.ENOENT}
		}
		l.want(want, batch(c.id, u32(attrMark, 7), u32(attrPriority, 8),
			attr(attrPayload, make([]byte, 30)...)))
		for i, f := range f {
			id := uint32(i)
			id += first
			if i >= c.decided {
				l.wantQueued(f, 0, id)
				continue
			}
			o := l.wantOutcome(f, true, Decided, Hop{0, id, 1, true})
			if o.Packet.Mark != 7 || o.Packet.Priority != 8 || o.Edits.Payload ||
				len(o.Packet.Payload) != 21 {
				t.Errorf("%+v", o)
			}
		}
	}
}

// All packets of a batch leave the queue before the first is queued again.
func TestBatchOfRepeats(t *testing.T) {
	l := newLab(t)
	l.bind(0, u32(cfgQueueMaxLen, 2))
	f := l.send(ip4(1), ip4(1))
	l.want([]int32{0}, request(msgVerdictBatch, 0, verdictAttr(verdictRepeat, 1000)))
	l.wantQueued(f[0], 0, 3)
	l.wantQueued(f[1], 0, 4)
}

// The first id that is after the given one ends the batch, even if more would match.
func TestBatchSkipsNothing(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	f := l.send(ip4(1), ip4(1), ip4(1))
	l.want([]int32{0}, verdictFor(verdictRepeat, 1)) // becomes 4, behind 2 and 3
	l.want([]int32{0}, request(msgVerdictBatch, 0, verdictAttr(1, 2)))
	l.wantQueued(f[0], 0, 4)
	l.wantOutcome(f[1], true, Decided, Hop{0, 2, 1, true})
	l.wantQueued(f[2], 0, 3)
}

func TestPayload(t *testing.T) {
	six := Packet{Family: familyIPv6, Payload: append([]byte{0x60}, make([]byte, 50)...)}
	options := ip4(30)
	options.Payload[0] = 0x47
	for _, c := range []struct {
		p     Packet
		n     int
		cause Cause
	}{
		{ip4(30), 50, Decided},
		{ip4(30), 60000, Decided},
		{ip4(30), 20, Decided},
		{ip4(30), 19, BadPayload},
		{ip4(30), 0, BadPayload},
		{options, 28, Decided},
		{options, 27, BadPayload},
		{six, 40, Decided},
		{six, 39, BadPayload},
		{Packet{Family: familyBridge, Payload: []byte("something else")}, 1, Decided},
		{Packet{Family: familyBridge, Payload: []byte("something else")}, 0, BadPayload},
	} {
		l := newLab(t)
		l.bind(0, u32(cfgMask, flagGSO), u32(cfgFlags, flagGSO))
		c.p.SKBInfo = skbChecksumNotReady
		f := l.send(c.p)[0]
		b := bytes.Repeat([]byte{0xab}, c.n)
		l.want([]int32{0}, verdictFor(1, 1, attr(attrPayload, b...)))
		o := l.wantOutcome(f, c.cause == Decided, c.cause, Hop{0, 1, 1, false})
		if c.cause == Decided && (!bytes.Equal(o.Packet.Payload, b) || o.Packet.SKBInfo != 0) ||
			o.Edits.Payload != (c.cause == Decided) {
			t.Errorf("%d bytes: %+v", c.n, o.Edits)
		}
	}
}

func TestLinkEdits(t *testing.T) {
	bridge := Packet{Family: familyBridge, LinkHeader: []byte("header"), Payload: []byte("x")}
	inet := ip4(1)
	proto, tci := attr(attrVLANProto, 0x81, 0), attr(attrVLANTCI, 0x20, 1)
	vlan := func(parts ...[]byte) []byte { return attr(attrVLAN|0x8000, bytes.Join(parts, nil)...) }
	for _, c := range []struct {
		name  string
		p     Packet
		attrs []byte
		errno int32
		tag   VLAN
		link  string
	}{
		{"tag", bridge, vlan(proto, tci), 0, VLAN{0x2001, 0x8100}, "header"},
		{"no protocol", bridge, vlan(tci), kernel.EINVAL, VLAN{}, "header"},
		{"no tag", bridge, vlan(proto), kernel.EINVAL, VLAN{}, "header"},
		{"header", bridge, attr(attrL2Hdr, []byte("HEADER")...), 0, VLAN{}, "HEADER"},
		{"other length", bridge, attr(attrL2Hdr, []byte("head")...), kernel.EINVAL, VLAN{}, "header"},
		{"other family", inet, append(vlan(tci), attr(attrL2Hdr, 1)...), 0, VLAN{}, ""},
	} {
		l := newLab(t)
		l.bind(0)
		f := l.send(c.p)[0]
		l.want([]int32{c.errno}, verdictFor(1, 1, c.attrs))
		cause := Decided
		if c.errno != 0 {
			cause = BadLink
		}
		// The kernel drops the packet although it answers with an error.
		o := l.wantOutcome(f, c.errno == 0, cause, Hop{0, 1, 1, false})
		if o.Packet.VLAN != c.tag || string(o.Packet.LinkHeader) != c.link {
			t.Errorf("%s: %+v %q", c.name, o.Packet.VLAN, o.Packet.LinkHeader)
		}
		if c.errno != 0 {
			l.want([]int32{kernel.ENOENT}, verdictFor(1, 1))
		}
	}
}

func TestConntrackEdits(t *testing.T) {
	ct, exp := attr(attrCT|0x8000, attr(8, 0, 0, 0, 1)...),
		attr(attrExp|0x8000, attr(1, 0, 0, 0, 2)...)
	for _, c := range []struct {
		name   string
		entry  []byte
		flags  uint32
		attrs  []byte
		ct, ex bool
	}{
		{"both", []byte{}, knownFlags, append(ct, exp...), true, true},
		{"entry", []byte{}, knownFlags, ct, true, false},
		{"expectation without entry", []byte{}, knownFlags, exp, false, false},
		{"untracked packet", nil, knownFlags, append(ct, exp...), false, false},
		{"kernel without ctnetlink", []byte{}, knownFlags &^ flagConntrack, append(ct, exp...), false,
			false},
	} {
		l := newLab(t)
		l.k.SetFlags(c.flags)
		l.bind(0)
		p := ip4(1)
		p.Conntrack = c.entry
		f := l.send(p)[0]
		l.want([]int32{0}, verdictFor(1, 1, c.attrs))
		o := l.wantOutcome(f, true, Decided, Hop{0, 1, 1, false})
		if (o.Edits.Conntrack != nil) != c.ct || (o.Edits.Expect != nil) != c.ex {
			t.Errorf("%s: %+v", c.name, o.Edits)
		}
		if c.ct && !bytes.Equal(o.Edits.Conntrack, attr(8, 0, 0, 0, 1)) {
			t.Errorf("%s: %x", c.name, o.Edits.Conntrack)
		}
	}
}
