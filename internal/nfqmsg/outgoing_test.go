// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// sent is a verdict message taken apart.
type sent struct {
	typ   uint16
	word  uint32
	id    uint32
	attrs map[uint16]string // hex, without NFQA_VERDICT_HDR
}

// parseVerdicts takes a datagram apart and checks the headers.
func parseVerdicts(t *testing.T, queue uint16, datagram []byte) (all []sent) {
	t.Helper()
	for rest := datagram; len(rest) > 0; {
		msg, next, ok := nlwire.Next(rest)
		if !ok {
			t.Fatalf("no message at the start of %x", rest)
		}
		rest = next
		h, _ := nlwire.ParseHeader(msg)
		s := sent{typ: h.Type, attrs: map[uint16]string{}}
		if h.Flags != nlwire.FlagRequest || msg[16] != 0 || msg[17] != 0 ||
			binary.BigEndian.Uint16(msg[18:]) != queue {
			t.Errorf("headers % x", msg[:20])
		}
		for attrs := msg[20:]; ; {
			typ, data, next, ok := nlwire.NextAttr(attrs)
			if !ok {
				if nlwire.Malformed(attrs) {
					t.Errorf("malformed attributes % x", attrs)
				}
				break
			}
			if attrs = next; typ == AttrVerdictHdr {
				s.word, s.id = binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
			} else {
				s.attrs[typ] = hex.EncodeToString(data)
			}
		}
		if h.Seq != s.id {
			t.Errorf("sequence number %d of the verdict for %d", h.Seq, s.id)
		}
		all = append(all, s)
	}
	return all
}

// TestRunsBecomeBatches: equal plain verdicts over consecutive ids are one message,
// and nothing else is.
func TestRunsBecomeBatches(t *testing.T) {
	const drop, accept = 0, 1
	edited := &Edits{Set: EditMark, Mark: 0x42}
	for _, c := range []struct {
		name string
		adds []Decision
		want []sent
	}{
		{"one", []Decision{{5, accept, nil, true}}, []sent{{typ: Verdict, word: accept, id: 5}}},
		{"run", []Decision{{5, drop, nil, true}, {6, drop, nil, true}, {7, drop, nil, true}},
			[]sent{{typ: VerdictBatch, word: drop, id: 7}}},
		{"run over the wrap", []Decision{{0xffffffff, drop, nil, true}, {0, drop, nil, true}},
			[]sent{{typ: VerdictBatch, word: drop, id: 0}}},
		{"verdict changes", []Decision{{5, drop, nil, true}, {6, accept, nil, true},
			{7, accept, nil, true}},
			[]sent{{typ: Verdict, word: drop, id: 5}, {typ: VerdictBatch, word: accept, id: 7}}},
		{"id left out", []Decision{{5, drop, nil, true}, {7, drop, nil, true}},
			[]sent{{typ: Verdict, word: drop, id: 5}, {typ: Verdict, word: drop, id: 7}}},
		{"held from the start", []Decision{{5, drop, nil, false}, {6, drop, nil, false}},
			[]sent{{typ: Verdict, word: drop, id: 5}, {typ: Verdict, word: drop, id: 6}}},
		{"held in between", []Decision{{5, drop, nil, true}, {6, drop, nil, false}, {7, drop, nil, true}},
			[]sent{{typ: Verdict, word: drop, id: 5}, {typ: Verdict, word: drop, id: 6},
				{typ: Verdict, word: drop, id: 7}}},
		{"edited", []Decision{{5, accept, nil, true}, {6, accept, edited, true}, {7, accept, nil, true}},
			[]sent{{typ: Verdict, word: accept, id: 5},
				{typ: Verdict, word: accept, id: 6, attrs: map[uint16]string{AttrMark: "00000042"}},
				{typ: Verdict, word: accept, id: 7}}},
		{"another's in between", []Decision{{5, accept, nil, true}, {2, accept, nil, false},
			{6, accept, nil, true}},
			[]sent{{typ: Verdict, word: accept, id: 5}, {typ: Verdict, word: accept, id: 2},
				{typ: Verdict, word: accept, id: 6}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewOutgoing(513)
			for _, d := range c.adds {
				o.Add(d)
			}
			d := bytes.Join(o.Datagram(), nil)
			if len(d) != o.size || o.Count() != len(c.adds) {
				t.Errorf("datagram of %d bytes, counted %d with %d verdicts", len(d), o.size, o.Count())
			}
			got := parseVerdicts(t, 513, d)
			if len(got) != len(c.want) {
				t.Fatalf("messages %+v, want %+v", got, c.want)
			}
			for i, w := range c.want {
				if g := got[i]; g.typ != w.typ || g.word != w.word || g.id != w.id ||
					len(g.attrs) != len(w.attrs) || g.attrs[AttrMark] != w.attrs[AttrMark] {
					t.Errorf("message %d is %+v, want %+v", i, g, w)
				}
			}
		})
	}
}

// edited is every change to a packet, with a payload of n bytes.
func edited(n int) *Edits {
	return &Edits{
		Set:  EditMark | EditPriority | EditVLAN | EditLink | EditConntrack | EditExpect | EditPayload,
		Mark: 0x01020304, Priority: 5, VLANTCI: 0x6064, VLANProto: 0x88a8, Link: []byte("FOURTEEN BYTES"),
		Conntrack: []byte("CTA_"), Expect: []byte("CTA_EXPECT_*"), Payload: bytes.Repeat([]byte{'p'}, n),
	}
}

// TestEditedVerdict checks every attribute of a verdict, and that payloads of any length keep
// the messages behind them aligned.
func TestEditedVerdict(t *testing.T) {
	o := NewOutgoing(1)
	for n := range 5 {
		o.Add(Decision{ID: uint32(n), Word: 1, Edits: edited(30 + n), Batch: true})
	}
	o.Add(Decision{ID: 5, Word: 1, Batch: true})
	d := bytes.Join(o.Datagram(), nil)
	if len(d) != o.size {
		t.Errorf("datagram of %d bytes, counted %d", len(d), o.size)
	}
	got := parseVerdicts(t, 1, d)
	if len(got) != 6 {
		t.Fatalf("%d messages", len(got))
	}
	attr := func(typ uint16, v uint16) []byte { return nlwire.AppendAttrU16(nil, typ, v) }
	for n := range 5 {
		e := edited(30 + n)
		for typ, want := range map[uint16]string{
			AttrMark: "01020304", AttrPriority: "00000005", AttrL2Hdr: hex.EncodeToString(e.Link),
			AttrVLAN: hex.EncodeToString(append(attr(AttrVLANTCI, 0x6064), attr(AttrVLANProto, 0x88a8)...)),
			AttrCT:   hex.EncodeToString(e.Conntrack), AttrExp: hex.EncodeToString(e.Expect),
			AttrPayload: hex.EncodeToString(e.Payload),
		} {
			if got[n].attrs[typ] != want {
				t.Errorf("message %d: attribute %d is %s, want %s", n, typ, got[n].attrs[typ], want)
			}
		}
	}
	var alone []byte
	for m := range o.Messages {
		alone = append(append(append(alone, m.head...), m.payload...), m.pad...)
	}
	if !bytes.Equal(alone, d) {
		t.Error("the messages one by one are not the datagram")
	}
}

// TestSingles: a batch taken apart decides the same packets, one message each.
func TestSingles(t *testing.T) {
	o := NewOutgoing(1)
	for _, id := range []uint32{0xfffffffe, 0xffffffff, 0, 1} {
		o.Add(Decision{ID: id, Word: 1, Batch: true})
	}
	var ids []uint32
	for m := range o.Messages {
		if m.Count() != 4 || m.Word() != 1 {
			t.Errorf("a message of %d verdicts %d", m.Count(), m.Word())
		}
		for one := range m.Singles {
			for _, s := range parseVerdicts(t, 1, bytes.Join(one.Datagram(), nil)) {
				if ids = append(ids, s.id); s.typ != Verdict || s.word != 1 {
					t.Errorf("message %+v", s)
				}
			}
		}
	}
	if !slices.Equal(ids, []uint32{0xfffffffe, 0xffffffff, 0, 1}) {
		t.Errorf("packets %d", ids)
	}
}

// TestRoom: a datagram never grows beyond its limit, and its memory never moves.
func TestRoom(t *testing.T) {
	const limit = 2000
	o := NewOutgoing(1)
	for id := uint32(0); o.Room(nil, limit); id += 2 {
		o.Add(Decision{ID: id, Word: 1, Batch: true})
	}
	if o.size > limit || o.size+2*verdictLen < limit {
		t.Errorf("%d bytes with a limit of %d", o.size, limit)
	}
	o.Reset()
	first := &o.buf[:1][0]
	e := edited(30)
	for id := uint32(0); o.Room(e, 1<<30); id++ {
		o.Add(Decision{ID: id, Word: 1, Edits: e, Batch: true})
	}
	if &o.buf[0] != first || len(o.cuts) != maxCuts || len(o.Datagram()) > 1024 {
		t.Errorf("%d payloads in %d pieces, moved %v", len(o.cuts), len(o.Datagram()), &o.buf[0] != first)
	}
}
