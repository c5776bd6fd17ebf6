// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"errors"
	"testing"
)

func TestParseIPv4(t *testing.T) {
	data := pattern(24)
	for _, tt := range []struct {
		name string
		b    []byte
		want Layout
	}{
		{"plain", ip4(6, 0x4000, nil, data), Layout{
			Version: 4, Protocol: 6, ID: 0xbeef, HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44,
			Len: 44,
		}},
		{"options", ip4(17, 0, []byte{1, 1, 1, 0, 0, 0, 0, 0}, data), Layout{
			Version: 4, Protocol: 17, ID: 0xbeef, HeaderLen: 28, TransportHeaderOffset: 28, TotalLen: 52,
			Len: 52,
		}},
		{"longest header", ip4(17, 0, make([]byte, 40)), Layout{
			Version: 4, Protocol: 17, ID: 0xbeef, HeaderLen: 60, TransportHeaderOffset: 60, TotalLen: 60,
			Len: 60,
		}},
		{"first fragment", ip4(17, 0x2000, nil, data), Layout{
			Version: 4, Protocol: 17, ID: 0xbeef, MoreFragments: true,
			HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44, Len: 44,
		}},
		{"last fragment", ip4(17, 0x1fff, nil, data), Layout{
			Version: 4, Protocol: 17, ID: 0xbeef, FragmentOffset: 65528,
			HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44, Len: 44,
		}},
		{"padding", append(ip4(6, 0, nil, data), 0, 0, 0), Layout{
			Version: 4, Protocol: 6, ID: 0xbeef, HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44,
			Len: 44,
		}},
		{"cut", ip4(6, 0, nil, data)[:30], Layout{
			Version: 4, Protocol: 6, ID: 0xbeef, HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44,
			Len: 30,
		}},
		{"BIG TCP", func() []byte {
			b := ip4(6, 0, nil, make([]byte, 70000))
			b[2], b[3] = 0, 0
			return b
		}(), Layout{
			Version: 4, Protocol: 6, ID: 0xbeef, HeaderLen: 20, TransportHeaderOffset: 20, Len: 70020,
		}},
		// Whether AH is walked over is a matter of IPv6 only.
		{"authentication header", ip4(51, 0, nil, data), Layout{
			Version: 4, Protocol: 51, ID: 0xbeef, HeaderLen: 20, TransportHeaderOffset: 20, TotalLen: 44,
			Len: 44,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.b)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseIPv6(t *testing.T) {
	data := tcp(1, 2)
	hop := ext(TCP, 5, 2, 0, 0, 1, 0)
	jumbo := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0xc2, 4}, n) }
	auth := make([]byte, 24) // length field 4: (4+2)*4 bytes
	auth[0], auth[1] = uint8(TCP), 4
	for _, tt := range []struct {
		name string
		b    []byte
		want Layout
	}{
		{"plain", ip6(6, data), Layout{Protocol: 6, TransportHeaderOffset: 40, TotalLen: 60, Len: 60}},
		{"hop-by-hop", ip6(0, hop, data), Layout{Protocol: 6, TransportHeaderOffset: 48, TotalLen: 68,
			Len: 68}},
		{"authentication header", ip6(51, auth, data), Layout{Protocol: 6, TransportHeaderOffset: 64,
			TotalLen: 84, Len: 84}},
		{"mobility ends the walk", ip6(60, ext(135), ext(6), data),
			Layout{Protocol: 135, TransportHeaderOffset: 48, TotalLen: 76, Len: 76}},
		{"HIP ends the walk", ip6(139, ext(6), data), Layout{Protocol: 139, TransportHeaderOffset: 40,
			TotalLen: 68, Len: 68}},
		{"Shim6 ends the walk", ip6(140, ext(6), data), Layout{Protocol: 140, TransportHeaderOffset: 40,
			TotalLen: 68, Len: 68}},
		{"all that come in order", ip6(0, ext(60), ext(43), ext(44), frag6(51, 0, false, 7),
			append([]byte{60, 4}, make([]byte, 22)...), ext(6), data),
			Layout{Protocol: 6, ID: 7, TransportHeaderOffset: 104, TotalLen: 124, Len: 124}},
		{"routing header used up", ip6(43, ext(6, append([]byte{4, 0}, make([]byte, 20)...)...), data),
			Layout{Protocol: 6, TransportHeaderOffset: 64, TotalLen: 84, Len: 84}},
		{"routing header", ip6(43, ext(6, append([]byte{4, 1}, make([]byte, 20)...)...), data),
			Layout{Protocol: 6, TransportHeaderOffset: 64, TotalLen: 84, Len: 84, routing: 40}},
		{"home address", ip6(60, ext(6, append([]byte{1, 1, 0, 0, 201, 16}, addr6C.AsSlice()...)...),
			data),
			Layout{Protocol: 6, TransportHeaderOffset: 64, TotalLen: 84, Len: 84, homeAddress: 48}},
		{"ESP ends the walk", ip6(50, ext(6), data), Layout{Protocol: 50, TransportHeaderOffset: 40,
			TotalLen: 68, Len: 68}},
		{"no next header", ip6(59, data), Layout{Protocol: 59, TransportHeaderOffset: 40, TotalLen: 60,
			Len: 60}},
		{"first fragment", ip6(44, frag6(6, 0, true, 0xdeadbeef), data), Layout{
			Protocol: 6, MoreFragments: true, ID: 0xdeadbeef, TransportHeaderOffset: 48, TotalLen: 68,
			Len: 68,
		}},
		{"middle fragment", ip6(44, frag6(6, 1448, true, 9), data), Layout{
			Protocol: 6, MoreFragments: true, FragmentOffset: 1448, ID: 9, TransportHeaderOffset: 48,
			TotalLen: 68, Len: 68,
		}},
		{"fragment, reserved bits set", ip6(44, []byte{6, 0xff, 5, 0xaf, 0, 0, 0, 9}, data), Layout{
			Protocol: 6, MoreFragments: true, FragmentOffset: 1448, ID: 9, TransportHeaderOffset: 48,
			TotalLen: 68, Len: 68,
		}},
		{"fragment behind extension headers", ip6(44, frag6(60, 65528, false, 9), data), Layout{
			Protocol: 60, FragmentOffset: 65528, ID: 9, TransportHeaderOffset: 48, TotalLen: 68, Len: 68,
		}},
		{"a second fragment header", ip6(44, frag6(44, 0, true, 9), frag6(6, 0, false, 10), data), Layout{
			Protocol: 6, MoreFragments: true, ID: 9, TransportHeaderOffset: 56, TotalLen: 76, Len: 76,
		}},
		{"padding", append(ip6(6, data), 1, 2, 3), Layout{Protocol: 6, TransportHeaderOffset: 40,
			TotalLen: 60, Len: 60}},
		{"cut", ip6(6, data)[:50], Layout{Protocol: 6, TransportHeaderOffset: 40, TotalLen: 60, Len: 50}},
		{"BIG TCP", func() []byte {
			b := ip6(6, make([]byte, 70000))
			b[4], b[5] = 0, 0
			return b
		}(), Layout{Protocol: 6, TransportHeaderOffset: 40, Len: 70040}},
		{"jumbo", func() []byte {
			b := ip6(0, ext(6, jumbo(70008)...), make([]byte, 70000), []byte("padding"))
			b[4], b[5] = 0, 0
			return b
		}(), Layout{Protocol: 6, TransportHeaderOffset: 48, TotalLen: 70048, Len: 70048, jumbo: 44}},
		{"jumbo, cut", func() []byte {
			b := ip6(0, ext(6, jumbo(70008)...), make([]byte, 100))
			b[4], b[5] = 0, 0
			return b
		}(), Layout{Protocol: 6, TransportHeaderOffset: 48, TotalLen: 70048, Len: 148, jumbo: 44}},
		{"jumbo below its range", func() []byte {
			b := ip6(0, ext(6, jumbo(65535)...), make([]byte, 100))
			b[4], b[5] = 0, 0
			return b
		}(), Layout{Protocol: 6, TransportHeaderOffset: 48, Len: 148, jumbo: 44}},
		{"jumbo beyond belief", func() []byte {
			b := ip6(0, ext(6, jumbo(0xffffffff)...), make([]byte, 100))
			b[4], b[5] = 0, 0
			return b
		}(), Layout{Protocol: 6, TransportHeaderOffset: 48, Len: 148, jumbo: 44}},
		{"jumbo beside a payload length", ip6(0, ext(6, jumbo(70000)...), data),
			Layout{Protocol: 6, TransportHeaderOffset: 48, TotalLen: 68, Len: 68, jumbo: 44}},
		{"jumbo outside hop-by-hop", ip6(60, ext(6, jumbo(70000)...), data),
			Layout{Protocol: 6, TransportHeaderOffset: 48, TotalLen: 68, Len: 68}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Version, tt.want.HeaderLen = 6, 40
			got, err := Parse(tt.b)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	short := func(b []byte, n int) []byte { return b[:n:n] }
	v4 := ip4(6, 0, make([]byte, 8), tcp(1, 2))
	for _, tt := range []struct {
		name    string
		b       []byte
		err     error
		version uint8 // what is still known
		offset  int
	}{
		{"nil", nil, ErrShortHeader, 0, 0},
		{"empty", []byte{}, ErrShortHeader, 0, 0},
		{"ARP", []byte{0, 1, 8, 0, 6, 4, 0, 1}, ErrNotIP, 0, 0},
		{"version 5", append([]byte{0x55}, make([]byte, 60)...), ErrNotIP, 0, 0},
		{"IPv4 of 1 byte", []byte{0x45}, ErrShortHeader, 0, 0},
		{"IPv4 of 19 bytes", short(v4, 19), ErrShortHeader, 0, 0},
		{"IPv4 cut in the options", short(v4, 27), ErrShortHeader, 4, 27},
		{"IPv4 header length 4", append([]byte{0x44}, v4[1:]...), ErrHeaderLength, 4, 16},
		{"IPv4 header length 0", append([]byte{0x40}, v4[1:]...), ErrHeaderLength, 4, 0},
		{"IPv4 total length 27", cat(v4[:2], []byte{0, 27}, v4[4:]), ErrTotalLength, 4, 28},
		{"IPv6 of 39 bytes", short(ip6(6), 39), ErrShortHeader, 0, 0},
		{"IPv6 extension header missing", ip6(0), ErrShortExtension, 6, 40},
		{"IPv6 extension header of 7 bytes", ip6(43, make([]byte, 7)), ErrShortExtension, 6, 40},
		{"IPv6 extension header too long", ip6(60, []byte{6, 1}, make([]byte, 13)), ErrShortExtension,
			6, 40},
		{"IPv6 fragment header missing", ip6(60, ext(44), make([]byte, 7)), ErrShortExtension, 6, 48},
		{"IPv6 AH too long", ip6(51, []byte{6, 1}, make([]byte, 9)), ErrShortExtension, 6, 40},
		{"IPv6 extension header in the padding", append(ip6(60, ext(60)), ext(6)...), ErrShortExtension,
			6, 48},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Parse(tt.b)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if l.Version != tt.version || l.TransportHeaderOffset != tt.offset {
				t.Errorf("version %d, offset %d, want %d, %d", l.Version, l.TransportHeaderOffset, tt.version,
					tt.offset)
			}
		})
	}
}

func TestFragment(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"IPv4", ip4(17, 0, nil), false},
		{"IPv4 don't fragment", ip4(17, 0x4000, nil), false},
		{"IPv4 first", ip4(17, 0x2000, nil), true},
		{"IPv4 middle", ip4(17, 0x2001, nil), true},
		{"IPv4 last", ip4(17, 1, nil), true},
		{"IPv6", ip6(17), false},
		{"IPv6 atomic", ip6(44, frag6(17, 0, false, 1)), false},
		{"IPv6 first", ip6(44, frag6(17, 0, true, 1)), true},
		{"IPv6 last", ip6(44, frag6(17, 8, false, 1)), true},
	} {
		l, err := Parse(tt.b)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if l.Fragment() != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, l.Fragment(), tt.want)
		}
	}
}
