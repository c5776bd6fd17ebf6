// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

func TestSetExpect(t *testing.T) {
	v4, v6 := netip.MustParseAddr, netip.MustParseAddr
	help := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "ftp\x00"))
	tcp6 := cttest.Nest(ctattr.TupleOrig, cttest.IP("2001:db8::1", "2001:db8::2"),
		cttest.Ports(6, 40000, 21))
	const none4, ones4, none6, ones6 = "0.0.0.0", "255.255.255.255", "::",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	for _, c := range []struct {
		name        string
		orig        []byte
		e           conntrack.Expectation
		tuple, mask conntrack.Tuple
		rest        map[uint16][]byte
	}{
		{
			"from anywhere", tcpTuple,
			conntrack.Expectation{Protocol: 6, Dst: v4("192.0.2.1"), DstPort: 1024},
			cttest.Tuple(none4, 0, "192.0.2.1", 1024, 6), cttest.Tuple(none4, 0, ones4, 0xffff, 6),
			nil,
		},
		{
			"all of it", tcpTuple,
			conntrack.Expectation{
				Protocol: 17, Src: v4("198.51.100.1"), SrcPort: 20, Dst: v4("192.0.2.1"), DstPort: 1024,
				Flags: conntrack.ExpectPermanent, Helper: "tftp", Class: 3,
				NAT: &conntrack.ExpectNAT{Function: "nat-follow-master", Reply: true, Addr: v4("203.0.113.5"),
					Port: 2020},
			},
			cttest.Tuple("198.51.100.1", 20, "192.0.2.1", 1024, 17), cttest.Tuple(ones4, 0xffff, ones4,
				0xffff, 17),
			map[uint16][]byte{
				ctattr.ExpectFlags: be32(1), ctattr.ExpectHelpName: []byte("tftp\x00"),
				ctattr.ExpectClass: be32(3),
				ctattr.ExpectFn:    []byte("nat-follow-master\x00"),
				ctattr.ExpectNAT: append(cttest.Attr(ctattr.ExpectNATDir, be32(1)...),
					cttest.Nest(ctattr.ExpectNATTuple, cttest.IP("203.0.113.5", none4),
						cttest.Ports(17, 2020, 0))...),
			},
		},
		{
			"over IPv6, of one address", tcp6,
			conntrack.Expectation{
				Protocol: 132, Src: v6("2001:db8::2"), Dst: v6("2001:db8::1"), DstPort: 5,
				NAT: &conntrack.ExpectNAT{Function: "sip", Addr: v6("2001:db8::9"), Port: 6},
			},
			cttest.Tuple("2001:db8::2", 0, "2001:db8::1", 5, 132), cttest.Tuple(ones6, 0, ones6, 0xffff,
				132),
			map[uint16][]byte{
				ctattr.ExpectFn: []byte("sip\x00"),
				ctattr.ExpectNAT: append(cttest.Attr(ctattr.ExpectNATDir, be32(0)...),
					cttest.Nest(ctattr.ExpectNATTuple, cttest.IP("2001:db8::9", none6),
						cttest.Ports(132, 6, 0))...),
			},
		},
		{
			"over IPv6, from anywhere", tcp6,
			conntrack.Expectation{Protocol: 6, Dst: v6("2001:db8::1"), DstPort: 5,
				Flags: conntrack.ExpectInactive},
			cttest.Tuple(none6, 0, "2001:db8::1", 5, 6), cttest.Tuple(none6, 0, ones6, 0xffff, 6),
			map[uint16][]byte{ctattr.ExpectFlags: be32(2)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tracked(t, conntrack.StateEstablished, c.orig, help)
			mustSet(t, p.SetExpect(conntrack.Expectation{Protocol: 6, Dst: c.e.Dst, DstPort: 1,
				Flags: conntrack.ExpectInactive, Helper: "replaced"}))
			mustSet(t, p.SetExpect(c.e))
			all, ct := verdictAttrs(t, p)
			if ct == nil || len(ct) != 0 {
				t.Errorf("NFQA_CT has %x, want it empty", ct)
			}
			exp := splitAttrs(t, all[nfqmsg.AttrExp])
			for typ, want := range map[uint16]conntrack.Tuple{ctattr.ExpectTuple: c.tuple,
				ctattr.ExpectMask: c.mask} {
				e, _ := conntrack.Parse(cttest.Attr(ctattr.TupleOrig, exp[typ]...))
				if got, ok := e.Original(); !ok || got != want {
					t.Errorf("attribute %d is %v, %v; want %v", typ, got, ok, want)
				}
				delete(exp, typ)
			}
			for typ, want := range c.rest {
				if !bytes.Equal(exp[typ], want) {
					t.Errorf("attribute %d is %x, want %x", typ, exp[typ], want)
				}
				delete(exp, typ)
			}
			if len(exp) != 0 {
				t.Errorf("not asked for: %x", exp)
			}
			mustSet(t, p.SetConnMark(1, 1))
			wantCT(t, p, map[uint16][]byte{ctattr.Mark: be32(1), ctattr.MarkMask: be32(1)})
		})
	}
}

func TestSetExpectRefuses(t *testing.T) {
	dst := netip.MustParseAddr("192.0.2.1")
	dst6 := netip.MustParseAddr("::1")
	help := cttest.Nest(ctattr.Help, cttest.Text(ctattr.HelpName, "ftp\x00"))
	p := tracked(t, conntrack.StateEstablished, tcpTuple, help)
	mustSet(t, p.SetExpect(conntrack.Expectation{Protocol: 6, Dst: dst, DstPort: 1}))
	mustSet(t, p.SetExpect(conntrack.Expectation{Protocol: 47, Dst: dst}))
	for name, e := range map[string]conntrack.Expectation{
		"no protocol":           {Dst: dst, DstPort: 1},
		"ICMP":                  {Protocol: 1, Dst: dst, DstPort: 1},
		"DCCP":                  {Protocol: 33, Dst: dst, DstPort: 1},
		"ESP":                   {Protocol: 50, Dst: dst, DstPort: 1},
		"ICMPv6":                {Protocol: 58, Dst: dst, DstPort: 1},
		"UDP-Lite":              {Protocol: 136, Dst: dst, DstPort: 1},
		"no port":               {Protocol: 6, Dst: dst},
		"no destination":        {Protocol: 6, Src: dst, DstPort: 1},
		"an IPv6 destination":   {Protocol: 6, Dst: dst6, DstPort: 1},
		"an IPv6 source":        {Protocol: 6, Dst: dst, Src: dst6, DstPort: 1},
		"an unknown flag":       {Protocol: 6, Dst: dst, DstPort: 1, Flags: 4},
		"a long helper":         {Protocol: 6, Dst: dst, DstPort: 1, Helper: "0123456789abcdef"},
		"a class without limit": {Protocol: 6, Dst: dst, DstPort: 1, Helper: "ftp", Class: 4},
		"a class alone":         {Protocol: 6, Dst: dst, DstPort: 1, Class: 1},
		"NAT without function": {Protocol: 6, Dst: dst, DstPort: 1,
			NAT: &conntrack.ExpectNAT{Addr: dst}},
		"NAT without address": {Protocol: 6, Dst: dst, DstPort: 1,
			NAT: &conntrack.ExpectNAT{Function: "sip"}},
		"NAT to IPv6": {Protocol: 6, Dst: dst, DstPort: 1,
			NAT: &conntrack.ExpectNAT{Function: "sip", Addr: dst6}},
		"a function too long": {Protocol: 6, Dst: dst, DstPort: 1,
			NAT: &conntrack.ExpectNAT{Function: strings.Repeat("f", 256), Addr: dst}},
	} {
		wantRefused(t, name, p, func() error { return p.SetExpect(e) })
	}
	for name, attrs := range map[string][][]byte{
		"no helper": {tcpTuple},
		"no tuple":  {help},
	} {
		p := tracked(t, conntrack.StateEstablished, attrs...)
		wantRefused(t, name, p, func() error {
			return p.SetExpect(conntrack.Expectation{Protocol: 6,
				Dst: dst, DstPort: 1})
		})
	}
}
