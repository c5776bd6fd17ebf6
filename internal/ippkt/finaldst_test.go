// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
)

func TestCompleteRoutingHeader(t *testing.T) {
	a := func(addrs ...netip.Addr) (b []byte) {
		for _, x := range addrs {
			b = append(b, x.AsSlice()...)
		}
		return b
	}
	header := func(typ, left uint8, rest [4]byte, body []byte) []byte {
		return ext(6, append([]byte{typ, left, rest[0], rest[1], rest[2], rest[3]}, body...)...)
	}
	x, y := netip.MustParseAddr("2001:db8::aaaa"), netip.MustParseAddr("2001:db8::bbbb")
	for _, tt := range []struct {
		name string
		h    []byte
		dst  netip.Addr // in the pseudo-header; the header has addr6B
	}{
		{"type 0", header(0, 2, [4]byte{}, a(x, y, addr6C)), addr6C},
		{"type 0, one left", header(0, 1, [4]byte{}, a(x, y, addr6C)), addr6C},
		{"type 0 used up", header(0, 0, [4]byte{}, a(x, y, addr6C)), addr6B},
		{"type 0, odd length", header(0, 1, [4]byte{}, append(a(addr6C), make([]byte, 8)...)),
			netip.Addr{}},
		{"type 0, more left than there are", header(0, 4, [4]byte{}, a(x, y, addr6C)), netip.Addr{}},
		{"type 0 without addresses", header(0, 1, [4]byte{}, nil), netip.Addr{}},
		{"type 2", header(2, 1, [4]byte{}, a(addr6C)), addr6C},
		{"type 2 used up", header(2, 0, [4]byte{}, a(addr6C)), addr6B},
		{"type 2, two left", header(2, 2, [4]byte{}, a(addr6C)), netip.Addr{}},
		{"type 2, two addresses", header(2, 1, [4]byte{}, a(x, y)), netip.Addr{}},
		{"type 2 without address", header(2, 1, [4]byte{}, nil), netip.Addr{}},
		// addr6B and the last hop share 2001:db8:1:2, 8 bytes; the others 4.
		{"type 3, CmprI 4, CmprE 8, Pad 4",
			header(3, 2, [4]byte{0x48, 0x40}, append(append(make([]byte, 12), 0, 0, 0, 0, 0, 0, 0xcc,
				0xdd), make([]byte, 4)...)),
			netip.MustParseAddr("2001:db8:1:2::ccdd")},
		{"type 3, CmprI 15, CmprE 15, Pad 5",
			header(3, 3, [4]byte{0xff, 0x50}, []byte{1, 2, 0x99, 0, 0, 0, 0, 0}),
			netip.MustParseAddr("2001:db8:1:2:3:4:5:99")},
		{"type 3, whole addresses", header(3, 2, [4]byte{}, a(x, addr6C)), addr6C},
		{"type 3 used up", header(3, 0, [4]byte{}, a(x, addr6C)), addr6B},
		{"type 3, more left than there are", header(3, 3, [4]byte{}, a(x, addr6C)), netip.Addr{}},
		{"type 3, uneven", header(3, 1, [4]byte{0x10}, a(x, addr6C)), netip.Addr{}},
		{"type 3, empty", header(3, 1, [4]byte{}, nil), netip.Addr{}},
		{"type 4", header(4, 1, [4]byte{2}, a(addr6C, x, y)), addr6C},
		{"type 4, reduced", header(4, 3, [4]byte{2}, a(addr6C, x, y)), addr6C},
		{"type 4 and TLVs", header(4, 1, [4]byte{0}, append(a(addr6C), 4, 6, 0, 0, 0, 0, 0, 0)), addr6C},
		{"type 4 used up", header(4, 0, [4]byte{2}, a(addr6C, x, y)), addr6B},
		{"type 4, more left than there are", header(4, 4, [4]byte{2}, a(addr6C, x, y)), netip.Addr{}},
		{"type 4, list too long", header(4, 1, [4]byte{3}, a(addr6C, x, y)), netip.Addr{}},
		{"type 4 without list", header(4, 1, [4]byte{}, nil), netip.Addr{}},
		{"type 5", header(5, 1, [4]byte{}, a(addr6C)), netip.Addr{}},
		{"type 5 used up", header(5, 0, [4]byte{}, a(addr6C)), addr6B},
		{"two headers, one used up", cat(ext(43, append([]byte{4, 1, 0, 0, 0, 0},
			addr6C.AsSlice()...)...),
			header(4, 0, [4]byte{}, a(x))), addr6C},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := ip6(43, tt.h, tcp(1, 2, pattern(5)...))
			before := bytes.Clone(b)
			err := Complete(b)
			if !tt.dst.IsValid() {
				if !errors.Is(err, ErrRoutingHeader) {
					t.Errorf("error %v, want %v", err, ErrRoutingHeader)
				}
				if !bytes.Equal(b, before) {
					t.Error("the packet was changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkSum(t, slowPseudo(addr6A, tt.dst, 6, 25), b[len(b)-25:], 25)
			if n := 40 + len(tt.h); !bytes.Equal(b[:n], before[:n]) {
				t.Errorf("headers changed:\n got %x\nwant %x", b[:n], before[:n])
			}
		})
	}
}

func TestCompleteHomeAddress(t *testing.T) {
	option := append([]byte{1, 2, 0, 0, 201, 16}, addr6C.AsSlice()...)
	cut := append([]byte{1, 2, 0, 0, 201, 15}, addr6C.AsSlice()...)
	for _, tt := range []struct {
		name string
		b    []byte
		src  netip.Addr
	}{
		{"home address", ip6(60, ext(6, option...), tcp(1, 2)), addr6C},
		{"in the second header", ip6(60, ext(60), ext(6, option...), tcp(1, 2)), addr6C},
		{"wrong length", ip6(60, ext(6, cut...), tcp(1, 2)), addr6A},
		{"half beyond its header", ip6(60, ext(60, option[:14]...), ext(6), tcp(1, 2)), addr6A},
		{"behind a header whose option is too long", ip6(60, ext(60, 5, 30), ext(6, option...), tcp(1,
			2)), addr6C},
		{"behind an option that is too long", ip6(60, ext(6, append([]byte{5, 200}, option...)...),
			tcp(1, 2)), addr6A},
		{"option without a length", ip6(60, ext(60, 1, 3, 0, 0, 0, 201), ext(6), tcp(1, 2)), addr6A},
		{"in the wrong header", ip6(0, ext(6, option...), tcp(1, 2)), addr6A},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mustComplete(t, tt.b)
			checkSum(t, slowPseudo(tt.src, addr6B, 6, 20), tt.b[len(tt.b)-20:], 20)
		})
	}
}

func TestCompleteSourceRoute(t *testing.T) {
	c := addr4C.As4()
	route := func(typ, length, pointer uint8) []byte {
		return []byte{1, typ, length, pointer, 10, 0, 0, 1, c[0], c[1], c[2], c[3]}
	}
	for _, tt := range []struct {
		name    string
		options []byte
		dst     netip.Addr
	}{
		{"loose", route(131, 11, 4), addr4C},
		{"strict, one left", route(137, 11, 8), addr4C},
		{"used up", route(131, 11, 12), addr4B},
		{"pointer to half an address", route(131, 11, 9), addr4B},
		{"record route", route(7, 11, 4), addr4B},
		{"behind the end of the list", append([]byte{0, 4, 0, 0}, route(131, 11, 4)...), addr4B},
		{"behind another option", append([]byte{148, 4, 0, 0}, route(131, 11, 4)...), addr4C},
		{"too short", route(131, 3, 4), addr4B},
		{"longer than the header", route(131, 12, 4), addr4B},
		{"of length 0", route(131, 0, 4), addr4B},
		{"behind a malformed one", append([]byte{148, 1, 0, 0}, route(131, 11, 4)...), addr4B},
		{"behind one of length 0", append([]byte{148, 0, 0, 0}, route(131, 11, 4)...), addr4B},
		{"of length 2, the last", []byte{1, 1, 131, 2}, addr4B},
		{"without a length", []byte{1, 1, 1, 131}, addr4B},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := ip4(6, 0, tt.options, tcp(1, 2))
			mustComplete(t, b)
			checkIPv4Header(t, b)
			checkSum(t, slowPseudo(addr4A, tt.dst, 6, 20), b[len(b)-20:], 20)
			if !bytes.Equal(b[20:len(b)-20], tt.options) {
				t.Errorf("options changed: %x, want %x", b[20:len(b)-20], tt.options)
			}
		})
	}
}
