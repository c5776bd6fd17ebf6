// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

func TestSetExpect(t *testing.T) {
	v4, v6 := netip.MustParseAddr, netip.MustParseAddr
	help := ctNest(ctaHelp, ctText(ctaHelpName, "ftp\x00"))
	tcp6 := ctNest(ctaTupleOrig, ctIP("2001:db8::1", "2001:db8::2"), ctPorts(6, 40000, 21))
	const none4, ones4, none6, ones6 = "0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	for _, c := range []struct {
		name        string
		orig        []byte
		e           Expectation
		tuple, mask Tuple
		rest        map[uint16][]byte
	}{
		{
			"from anywhere", tcpTuple,
			Expectation{Protocol: 6, Dst: v4("192.0.2.1"), DstPort: 1024},
			ctTuple(none4, 0, "192.0.2.1", 1024, 6), ctTuple(none4, 0, ones4, 0xffff, 6),
			nil,
		},
		{
			"all of it", tcpTuple,
			Expectation{
				Protocol: 17, Src: v4("198.51.100.1"), SrcPort: 20, Dst: v4("192.0.2.1"), DstPort: 1024,
				Flags: ExpectPermanent, Helper: "tftp", Class: 3,
				NAT: &ExpectNAT{Function: "nat-follow-master", Reply: true, Addr: v4("203.0.113.5"), Port: 2020},
			},
			ctTuple("198.51.100.1", 20, "192.0.2.1", 1024, 17), ctTuple(ones4, 0xffff, ones4, 0xffff, 17),
			map[uint16][]byte{
				ctaExpectFlags: be32(1), ctaExpectHelpName: []byte("tftp\x00"), ctaExpectClass: be32(3),
				ctaExpectFn: []byte("nat-follow-master\x00"),
				ctaExpectNAT: append(ctAttr(ctaExpectNATDir, be32(1)...),
					ctNest(ctaExpectNATTuple, ctIP("203.0.113.5", none4), ctPorts(17, 2020, 0))...),
			},
		},
		{
			"over IPv6, of one address", tcp6,
			Expectation{
				Protocol: 132, Src: v6("2001:db8::2"), Dst: v6("2001:db8::1"), DstPort: 5,
				NAT: &ExpectNAT{Function: "sip", Addr: v6("2001:db8::9"), Port: 6},
			},
			ctTuple("2001:db8::2", 0, "2001:db8::1", 5, 132), ctTuple(ones6, 0, ones6, 0xffff, 132),
			map[uint16][]byte{
				ctaExpectFn: []byte("sip\x00"),
				ctaExpectNAT: append(ctAttr(ctaExpectNATDir, be32(0)...),
					ctNest(ctaExpectNATTuple, ctIP("2001:db8::9", none6), ctPorts(132, 6, 0))...),
			},
		},
		{
			"over IPv6, from anywhere", tcp6,
			Expectation{Protocol: 6, Dst: v6("2001:db8::1"), DstPort: 5, Flags: ExpectInactive},
			ctTuple(none6, 0, "2001:db8::1", 5, 6), ctTuple(none6, 0, ones6, 0xffff, 6),
			map[uint16][]byte{ctaExpectFlags: be32(2)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tracked(t, ConnEstablished, c.orig, help)
			mustSet(t, p.SetExpect(Expectation{Protocol: 6, Dst: c.e.Dst, DstPort: 1, Flags: ExpectInactive, Helper: "replaced"}))
			mustSet(t, p.SetExpect(c.e))
			all, ct := verdictAttrs(t, p)
			if ct == nil || len(ct) != 0 {
				t.Errorf("NFQA_CT has %x, want it empty", ct)
			}
			exp := splitAttrs(t, all[nfqmsg.AttrExp])
			for typ, want := range map[uint16]Tuple{ctaExpectTuple: c.tuple, ctaExpectMask: c.mask} {
				if got, ok := parseTuple(exp[typ], 0); !ok || got != want {
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
			wantCT(t, p, map[uint16][]byte{ctaMark: be32(1), ctaMarkMask: be32(1)})
		})
	}
}

func TestSetExpectRefuses(t *testing.T) {
	dst := netip.MustParseAddr("192.0.2.1")
	dst6 := netip.MustParseAddr("::1")
	help := ctNest(ctaHelp, ctText(ctaHelpName, "ftp\x00"))
	p := tracked(t, ConnEstablished, tcpTuple, help)
	mustSet(t, p.SetExpect(Expectation{Protocol: 6, Dst: dst, DstPort: 1}))
	mustSet(t, p.SetExpect(Expectation{Protocol: 47, Dst: dst}))
	for name, e := range map[string]Expectation{
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
		"NAT without function":  {Protocol: 6, Dst: dst, DstPort: 1, NAT: &ExpectNAT{Addr: dst}},
		"NAT without address":   {Protocol: 6, Dst: dst, DstPort: 1, NAT: &ExpectNAT{Function: "sip"}},
		"NAT to IPv6":           {Protocol: 6, Dst: dst, DstPort: 1, NAT: &ExpectNAT{Function: "sip", Addr: dst6}},
		"a function too long":   {Protocol: 6, Dst: dst, DstPort: 1, NAT: &ExpectNAT{Function: strings.Repeat("f", 256), Addr: dst}},
	} {
		wantRefused(t, name, p, func() error { return p.SetExpect(e) })
	}
	for name, attrs := range map[string][][]byte{
		"no helper": {tcpTuple},
		"no tuple":  {help},
	} {
		p := tracked(t, ConnEstablished, attrs...)
		wantRefused(t, name, p, func() error { return p.SetExpect(Expectation{Protocol: 6, Dst: dst, DstPort: 1}) })
	}
}
