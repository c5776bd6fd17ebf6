// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack_test

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func parsed(t testing.TB, attrs ...[]byte) conntrack.Entry {
	t.Helper()
	e, ok := conntrack.Parse(slices.Concat(attrs...))
	if !ok {
		t.Fatal("the entry is malformed")
	}
	return e
}

func TestEntry(t *testing.T) {
	for _, c := range cttest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			e := parsed(t, c.Attrs...)
			got := cttest.Tell(e)
			g, w := reflect.ValueOf(got), reflect.ValueOf(c.Want)
			for i := range g.NumField() {
				if g, w := g.Field(i).Interface(), w.Field(i).Interface(); g != w {
					t.Errorf("%s = %+v, want %+v", reflect.TypeOf(got).Field(i).Name, g, w)
				}
			}
			if c.Want.Labels == "" && e.Labels() != nil {
				t.Error("labels are not nil where there are none")
			}
		})
	}
}

// TestMalformed: what cannot be read is absent. What surrounds it is not.
func TestMalformed(t *testing.T) {
	orig := cttest.Nest(ctattr.TupleOrig, cttest.IP("192.0.2.1", "198.51.100.1"),
		cttest.Ports(6, 1, 2))
	mark := cttest.Attr(ctattr.Mark, be32(5)...)
	overlong := nlwire.AppendAttrHeader(nil, ctattr.Status, 100)
	short := nlwire.AppendAttrHeader(nil, ctattr.Status, -1)

	for name, bad := range map[string][]byte{"beyond the end": overlong,
		"shorter than its header": short} {
		nest := slices.Concat(orig, mark, bad)
		if e, ok := conntrack.Parse(nest); ok {
			t.Errorf("attribute %s: entry %+v", name, cttest.Tell(e))
		}
	}
	t.Run("integers too short", func(t *testing.T) {
		e := parsed(t, orig, cttest.Attr(ctattr.Status, 1, 2, 3), cttest.Attr(ctattr.ID, 1),
			cttest.Attr(ctattr.Timeout, 1, 2), cttest.Attr(ctattr.Zone, 1),
			cttest.Text(ctattr.Labels, "15 bytes of 16."), cttest.Attr(ctattr.Mark), mark)
		got := cttest.Tell(e)
		if want := (cttest.Told{Original: cttest.Tuple("192.0.2.1", 1, "198.51.100.1", 2, 6),
			OriginalOK: true, Mark: 5}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	ip4, ports := cttest.IP("192.0.2.1", "198.51.100.1"), cttest.Ports(6, 1, 2)
	for name, nest := range map[string][]byte{
		"without addresses":  cttest.Nest(ctattr.TupleOrig, ports),
		"without a protocol": cttest.Nest(ctattr.TupleOrig, ip4),
		"without a destination": cttest.Nest(ctattr.TupleOrig,
			cttest.Nest(ctattr.TupleIP, cttest.Attr(ctattr.IPv4Src, 1, 2, 3, 4)), ports),
		"with a short address": cttest.Nest(ctattr.TupleOrig,
			cttest.Nest(ctattr.TupleIP, cttest.Attr(ctattr.IPv4Src, 1, 2, 3),
				cttest.Attr(ctattr.IPv4Dst, 1, 2, 3, 4)), ports),
		"with a short IPv6 address": cttest.Nest(ctattr.TupleOrig,
			cttest.Nest(ctattr.TupleIP, cttest.Attr(ctattr.IPv6Src, 1, 2, 3, 4),
				cttest.Attr(ctattr.IPv6Dst, 1, 2, 3, 4)), ports),
		"with mixed addresses": cttest.Nest(ctattr.TupleOrig,
			cttest.Nest(ctattr.TupleIP, cttest.Attr(ctattr.IPv4Src, 1, 2, 3, 4),
				cttest.Attr(ctattr.IPv6Dst, make([]byte, 16)...)), ports),
		"with an empty protocol number": cttest.Nest(ctattr.TupleOrig, ip4,
			cttest.Nest(ctattr.TupleProto, cttest.Attr(ctattr.ProtoNum))),
		"with malformed ports": cttest.Nest(ctattr.TupleOrig, ip4,
			cttest.Nest(ctattr.TupleProto, cttest.Attr(ctattr.ProtoNum, 6), overlong)),
		"with malformed addresses": cttest.Nest(ctattr.TupleOrig,
			cttest.Nest(ctattr.TupleIP, overlong, cttest.Attr(ctattr.IPv4Src, 1, 2, 3, 4),
				cttest.Attr(ctattr.IPv4Dst, 1, 2, 3, 4)), ports),
		"that is malformed": cttest.Nest(ctattr.TupleOrig, short, ip4, ports),
		"that is empty":     cttest.Nest(ctattr.TupleOrig),
	} {
		e := parsed(t, nest, mark)
		if got, ok := e.Original(); ok || got != (conntrack.Tuple{}) {
			t.Errorf("tuple %s: %v, %v", name, got, ok)
		}
		if e.Mark() != 5 {
			t.Errorf("tuple %s: the mark is lost", name)
		}
	}
	for name, attrs := range map[string][][]byte{
		"protocol without a state": {cttest.Nest(ctattr.Protoinfo, cttest.Nest(ctattr.ProtoinfoTCP),
			cttest.Nest(ctattr.ProtoinfoSCTP, cttest.Attr(ctattr.SCTPState)),
			cttest.Nest(ctattr.ProtoinfoDCCP, overlong))},
		"empty strings": {cttest.Nest(ctattr.Help, cttest.Attr(ctattr.HelpName)),
			cttest.Nest(ctattr.SecCtx)},
		"one direction of counters": {cttest.Nest(ctattr.CountersOrig,
			cttest.Attr(ctattr.CountersPackets, be64(3)...), cttest.Attr(ctattr.CountersBytes, be64(1)...))},
		"counters of 32 bits": {cttest.Nest(ctattr.CountersOrig, cttest.Attr(3, be32(1)...)),
			cttest.Nest(ctattr.CountersReply, cttest.Attr(ctattr.CountersPackets, be32(1)...),
				cttest.Attr(ctattr.CountersBytes, be32(1)...))},
		"one direction of adjustment": {cttest.Nest(ctattr.SeqAdjReply, cttest.Attr(1, be32(1)...),
			cttest.Attr(2, be32(1)...), cttest.Attr(3, be32(1)...))},
		"half of the SYN proxy": {cttest.Nest(ctattr.Synproxy,
			cttest.Attr(ctattr.SynproxyISN, be32(1)...))},
		"short timestamp": {cttest.Nest(ctattr.Timestamp,
			cttest.Attr(ctattr.TimestampStart, be32(1)...))},
	} {
		if got := cttest.Tell(parsed(t, attrs...)); got != (cttest.Told{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestNoAllocations: no method of an entry allocates.
func TestNoAllocations(t *testing.T) {
	for _, c := range cttest.Cases {
		nest := slices.Concat(c.Attrs...)
		var sum int
		if n := testing.AllocsPerRun(100, func() {
			e, ok := conntrack.Parse(nest)
			if !ok {
				t.Fatal("no entry")
			}
			e.Original()
			e.Reply()
			e.Master()
			e.Zone()
			e.ID()
			e.Status()
			e.Mark()
			e.Timeout()
			e.TCP()
			e.SCTP()
			e.DCCP()
			e.SeqAdj()
			e.Synproxy()
			e.Counters()
			e.Times()
			sum += len(e.Labels()) + len(e.Helper()) + len(e.HelperInfo()) + len(e.SecurityContext())
			if string(e.Helper()) == "tftp" {
				sum++
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.Name, n)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{conntrack.StateEstablished.String(), "established"},
		{conntrack.StateRelated.String(), "related"},
		{conntrack.StateNew.String(), "new"},
		{conntrack.StateEstablishedReply.String(), "established-reply"},
		{conntrack.StateRelatedReply.String(), "related-reply"},
		{conntrack.State(7).String(), "conntrack info 7"},
		{conntrack.Status(0).String(), "none"},
		{(conntrack.StatusSeenReply | conntrack.StatusSrcNAT | 1<<20).String(),
			"seen-reply|snat|0x100000"},
		{conntrack.StatusHWOffload.String(), "hw-offload"},
		{conntrack.TCPSynSent2.String(), "SYN_SENT2"},
		{conntrack.TCPState(10).String(), "TCP state 10"},
		{(conntrack.TCPWindowScale | conntrack.TCPSimultaneousOpen).String(),
			"window-scale|simultaneous-open"},
		{conntrack.SCTPHeartbeatAcked.String(), "HEARTBEAT_ACKED"},
		{conntrack.DCCPTimeWait.String(), "TIMEWAIT"},
		{(conntrack.ExpectPermanent | conntrack.ExpectInactive).String(), "permanent|inactive"},
		{cttest.Tuple("192.0.2.1", 1024, "192.0.2.2", 80, 6).String(),
			"tcp 192.0.2.1:1024 > 192.0.2.2:80"},
		{cttest.Tuple("::1", 1, "::2", 0, 17).String(), "udp [::1]:1 > [::2]:0"},
		{cttest.Tuple("192.0.2.1", 0, "192.0.2.2", 0, 50).String(), "esp 192.0.2.1 > 192.0.2.2"},
		{conntrack.Tuple{Src: netip.MustParseAddr("::1"), Dst: netip.MustParseAddr("::2"), Protocol: 58,
			ICMPType: 128, ICMPID: 7, Zone: 3}.String(),
			"icmpv6 ::1 > ::2 type 128 code 0 id 7 zone 3"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for s := conntrack.StateEstablished; s <= conntrack.StateRelatedReply; s++ {
		if got, want := s.Reply(), s == conntrack.StateEstablishedReply ||
			s == conntrack.StateRelatedReply; got != want {
			t.Errorf("%v is a reply: %v", s, got)
		}
	}
}

// BenchmarkEntry is what a handler pays that reads the original tuple and the mark.
func BenchmarkEntry(b *testing.B) {
	c := cttest.Cases[0]
	nest := slices.Concat(c.Attrs...)
	b.ReportAllocs()
	for b.Loop() {
		e, _ := conntrack.Parse(nest)
		if t, ok := e.Original(); !ok || t.SrcPort != 40000 || e.Mark() == 0 {
			b.Fatal(t, ok)
		}
	}
}
