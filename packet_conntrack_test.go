// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"testing"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// tracked is a packet with an entry made of the attributes.
func tracked(t testing.TB, state conntrack.State, attrs ...[]byte) *Packet {
	t.Helper()
	p, err := decoded(packetMessage(FamilyIPv4, 3,
		attr{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookInput)},
		attr{nfqmsg.AttrCT | nlwire.Nested, cttest.Nest(0, attrs...)[nlwire.AttrHeaderLen:]},
		attr{nfqmsg.AttrCTInfo, be32(uint32(state))},
		attr{nfqmsg.AttrPayload, udpPacket},
	))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func entryFrom(t testing.TB, p *Packet) conntrack.Entry {
	t.Helper()
	e, ok := p.Conntrack()
	if !ok {
		t.Fatal("the packet has no entry")
	}
	return e
}

// TestConntrack: a packet has the state and the entry that came with it.
func TestConntrack(t *testing.T) {
	for _, c := range cttest.Cases {
		p := tracked(t, c.State, c.Attrs...)
		if s, ok := p.ConnState(); s != c.State || !ok {
			t.Errorf("%s: state %v, %v; want %v", c.Name, s, ok, c.State)
		}
		if got := cttest.Tell(entryFrom(t, p)); got != c.Want {
			t.Errorf("%s: %+v, want %+v", c.Name, got, c.Want)
		}
	}
}

// TestFlowTuple: the flow of a packet in the original direction is the entry's tuple.
func TestFlowTuple(t *testing.T) {
	p := tracked(t, conntrack.StateNew, cttest.Nest(ctattr.TupleOrig,
		cttest.IP("127.0.0.1", "127.0.0.1"), cttest.Ports(17, 12345, 4000)))
	flow, _ := p.Flow()
	if original, ok := entryFrom(t, p).Original(); !ok || flow.Tuple() != original ||
		flow.String() != original.String() {
		t.Errorf("tuple %v of flow %v, want %v", flow.Tuple(), flow, original)
	}
}

func TestNoConntrack(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Conntrack(); ok {
		t.Error("an entry came out of nothing")
	}
	if s, ok := p.ConnState(); ok {
		t.Errorf("state %v came out of nothing", s)
	}
}

// TestConntrackSurvivesClone: the entry of a cloned packet has memory of its own.
func TestConntrackSurvivesClone(t *testing.T) {
	c := cttest.Cases[0]
	p := tracked(t, c.State, c.Attrs...)
	clone := p.Clone()
	clear(p.msg)
	if got := cttest.Tell(entryFrom(t, clone)); got != c.Want {
		t.Errorf("the clone's entry is %+v, want %+v", got, c.Want)
	}
}

// TestMalformedConntrack: a malformed entry is no entry, and cannot be changed.
func TestMalformedConntrack(t *testing.T) {
	for name, n := range map[string]int{"beyond the end": 100, "shorter than its header": -1} {
		p := tracked(t, conntrack.StateNew, nlwire.AppendAttrHeader(nil, ctattr.Status, n))
		if e, ok := p.Conntrack(); ok {
			t.Errorf("attribute %s: entry %+v", name, cttest.Tell(e))
		}
		if err := p.SetConnMark(1, 1); err == nil {
			t.Errorf("attribute %s: an entry that cannot be read is changed", name)
		}
	}
}
