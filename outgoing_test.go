// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// sent is a verdict message taken apart.
type sent struct {
	typ     uint16
	verdict Verdict
	id      uint32
	attrs   map[uint16]string // hex, without NFQA_VERDICT_HDR
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
		if h.Flags != nlwire.FlagRequest || msg[16] != 0 || msg[17] != 0 || binary.BigEndian.Uint16(msg[18:]) != queue {
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
			if attrs = next; typ == attrVerdictHdr {
				s.verdict, s.id = Verdict(binary.BigEndian.Uint32(data)), binary.BigEndian.Uint32(data[4:])
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
	edited := &Packet{}
	edited.SetMark(0x42)
	type add struct {
		id    uint32
		v     Verdict
		p     *Packet
		batch bool
	}
	for _, c := range []struct {
		name string
		adds []add
		want []sent
	}{
		{"one", []add{{5, Accept, nil, true}}, []sent{{typ: msgVerdict, verdict: Accept, id: 5}}},
		{"run", []add{{5, Drop, nil, true}, {6, Drop, nil, true}, {7, Drop, nil, true}},
			[]sent{{typ: msgVerdictBatch, verdict: Drop, id: 7}}},
		{"run over the wrap", []add{{0xffffffff, Drop, nil, true}, {0, Drop, nil, true}},
			[]sent{{typ: msgVerdictBatch, verdict: Drop, id: 0}}},
		{"verdict changes", []add{{5, Drop, nil, true}, {6, Accept, nil, true}, {7, Accept, nil, true}},
			[]sent{{typ: msgVerdict, verdict: Drop, id: 5}, {typ: msgVerdictBatch, verdict: Accept, id: 7}}},
		{"id left out", []add{{5, Drop, nil, true}, {7, Drop, nil, true}},
			[]sent{{typ: msgVerdict, verdict: Drop, id: 5}, {typ: msgVerdict, verdict: Drop, id: 7}}},
		{"held from the start", []add{{5, Drop, nil, false}, {6, Drop, nil, false}},
			[]sent{{typ: msgVerdict, verdict: Drop, id: 5}, {typ: msgVerdict, verdict: Drop, id: 6}}},
		{"held in between", []add{{5, Drop, nil, true}, {6, Drop, nil, false}, {7, Drop, nil, true}},
			[]sent{{typ: msgVerdict, verdict: Drop, id: 5}, {typ: msgVerdict, verdict: Drop, id: 6}, {typ: msgVerdict, verdict: Drop, id: 7}}},
		{"edited", []add{{5, Accept, nil, true}, {6, Accept, edited, true}, {7, Accept, nil, true}},
			[]sent{{typ: msgVerdict, verdict: Accept, id: 5},
				{typ: msgVerdict, verdict: Accept, id: 6, attrs: map[uint16]string{attrMark: "00000042"}},
				{typ: msgVerdict, verdict: Accept, id: 7}}},
		{"another's in between", []add{{5, Accept, nil, true}, {2, Accept, nil, false}, {6, Accept, nil, true}},
			[]sent{{typ: msgVerdict, verdict: Accept, id: 5}, {typ: msgVerdict, verdict: Accept, id: 2}, {typ: msgVerdict, verdict: Accept, id: 6}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOutgoing()
			for _, a := range c.adds {
				o.add(newVerdictTemplate(513), a.id, a.v, a.p, a.batch)
			}
			d := bytes.Join(o.datagram(), nil)
			if len(d) != o.size || o.count != len(c.adds) {
				t.Errorf("datagram of %d bytes, counted %d with %d verdicts", len(d), o.size, o.count)
			}
			got := parseVerdicts(t, 513, d)
			if len(got) != len(c.want) {
				t.Fatalf("messages %+v, want %+v", got, c.want)
			}
			for i, w := range c.want {
				if g := got[i]; g.typ != w.typ || g.verdict != w.verdict || g.id != w.id || len(g.attrs) != len(w.attrs) || g.attrs[attrMark] != w.attrs[attrMark] {
					t.Errorf("message %d is %+v, want %+v", i, g, w)
				}
			}
		})
	}
}

// TestEditedVerdict checks every attribute of a verdict, and that payloads of any
// length keep the messages behind them aligned.
func TestEditedVerdict(t *testing.T) {
	o := newOutgoing()
	tmpl := newVerdictTemplate(1)
	var packets []*Packet
	for n := range 5 {
		p, err := decoded(everything())
		if err != nil {
			t.Fatal(err)
		}
		p.attrs.present &^= 1<<attrCapLen | 1<<attrSKBInfo // whole, with all checksums
		p.SetMark(0x01020304)
		p.SetPriority(5)
		if err := errors.Join(p.SetVLAN(VLAN{TCI: 0x6064, Protocol: 0x88a8}), p.SetLinkHeader([]byte("FOURTEEN BYTES")),
			p.SetPayload(append(p.Payload(), "1234"[:n]...))); err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
		o.add(tmpl, uint32(n), Accept, p, true)
	}
	o.add(tmpl, 5, Accept, nil, true)
	d := bytes.Join(o.datagram(), nil)
	if len(d) != o.size {
		t.Errorf("datagram of %d bytes, counted %d", len(d), o.size)
	}
	got := parseVerdicts(t, 1, d)
	if len(got) != 6 {
		t.Fatalf("%d messages", len(got))
	}
	for n, p := range packets {
		vlan := hex.EncodeToString(append(nested(attrVLANTCI, be16(0x6064)), nested(attrVLANProto, be16(0x88a8))...))
		for typ, want := range map[uint16]string{
			attrMark: "01020304", attrPriority: "00000005", attrVLAN: vlan,
			attrL2Hdr: hex.EncodeToString([]byte("FOURTEEN BYTES")), attrPayload: hex.EncodeToString(p.Payload()),
		} {
			if got[n].attrs[typ] != want {
				t.Errorf("message %d: attribute %d is %s, want %s", n, typ, got[n].attrs[typ], want)
			}
		}
	}
	var alone []byte
	for m := range o.messages {
		alone = append(append(append(alone, m.head...), m.payload...), m.pad...)
	}
	if !bytes.Equal(alone, d) {
		t.Error("the messages one by one are not the datagram")
	}
}

// TestRoom: a datagram never grows beyond its limit, and its memory never moves.
func TestRoom(t *testing.T) {
	const limit = 2000
	o := newOutgoing()
	tmpl := newVerdictTemplate(1)
	for id := uint32(0); o.room(nil, limit); id += 2 {
		o.add(tmpl, id, Accept, nil, true)
	}
	if o.size > limit || o.size+2*verdictLen < limit {
		t.Errorf("%d bytes with a limit of %d", o.size, limit)
	}
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{attrPacketHdr, packetHdr(7, etherTypeIPv4, HookInput)}, attr{attrPayload, udpPacket}))
	if err != nil {
		t.Fatal(err)
	}
	o.reset()
	first := &o.buf[:1][0]
	for id := uint32(0); ; id++ {
		if err := p.SetPayload(p.Payload()); err != nil {
			t.Fatal(err)
		}
		if !o.room(p, 1<<30) {
			break
		}
		o.add(tmpl, id, Accept, p, true)
	}
	if &o.buf[0] != first || len(o.cuts) != maxCuts || len(o.datagram()) > 1024 {
		t.Errorf("%d payloads in %d pieces, moved %v", len(o.cuts), len(o.datagram()), &o.buf[0] != first)
	}
}
