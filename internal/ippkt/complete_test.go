// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

// kernelPackets were made by Linux 6.18 on a device without checksum offload.
var kernelPackets = []struct {
	name     string
	sum      int // offset of the transport checksum
	udp      int // offset of the UDP length, if any
	fragment bool
	hex      string
}{
	{"TCP SYN", 36, 0, false, "4500003c21304000400605780a0900010a090002d7f00fa04ebd52bc00000000a002faf075730000020405b40402080a6e6dcc0c000000000103030a"},
	{"TCP SYN, IPv6", 56, 0, false, "600a2ebe00280640fd000009000000000000000000000001fd000009000000000000000000000002d9280fa0405a261a00000000a002fd2029750000020405a00402080a9e9f3988000000000103030a"},
	{"TCP SYN, loose source route", 44, 0, false,
		"47000044d0054000400641bd0a0900010a09004d018307040a090002d7e60fa01d1eef3000000000a002faf0a4e60000020405b40402080a06ef994c000000000103030a"},
	{"TCP SYN, segment routing header", 96, 0, false,
		"6009ca0000502b40fd000009000000000000000000000001fd0000090000000000000000000000990604040101000000fd000009000000000000000000000002fd000009000000000000000000000099d9300fa0b973832e00000000a002fd201fb00000020405a00402080a3f1dcc99000000000103030a"},
	{"UDP", 26, 24, false, "4500008bbcd64000401169770a0900010a090002a8a10fa0007796fe6f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb020910171e252c333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b525960676e757c838a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d242b323940474e555c636a71"},
	{"UDP, IPv6", 46, 44, false, "600a444a00631140fd000009000000000000000000000001fd0000090000000000000000000000029bfc0fa000634dff5b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ced5dce3eaf1f8ff060d141b222930373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1"},
	{"UDP, hop-by-hop and destination options", 70, 68, false,
		"600d95ba00630040fd000009000000000000000000000001fd0000090000000000000000000000023c0005020000010011010104000000001e0401020304000089d30fa0004bc652434a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf2f900070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11"},
	{"UDP, segment routing header", 86, 84, false,
		"600fe92300632b40fd000009000000000000000000000001fd0000090000000000000000000000991104040101000000fd000009000000000000000000000002fd000009000000000000000000000099ed760fa0003b082d333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b525960676e757c838a91"},
	{"UDP-Lite", 26, 0, false, "4500008b1977400040880c600a0900010a090002ddf30fa0000061ac6f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb020910171e252c333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b525960676e757c838a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d242b323940474e555c636a71"},
	{"UDP-Lite, coverage 21", 26, 0, false, "4500008b1a97400040880b400a0900010a090002ed950fa00015bb066f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb020910171e252c333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b525960676e757c838a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d242b323940474e555c636a71"},
	{"UDP-Lite, coverage 8, IPv6", 46, 0, false, "600aca4e00638840fd000009000000000000000000000001fd000009000000000000000000000002ea810fa000080ad45b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ced5dce3eaf1f8ff060d141b222930373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1"},
	{"ICMP echo", 22, 0, false, "4500008b83c540004001a2980a0900010a0900020800666c547ea1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ced5dce3eaf1f8ff060d141b222930373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb020910171e252c333a41484f565d646b727980878e959ca3aab1"},
	{"ICMPv6 echo", 42, 0, false, "6000807600633a40fd000009000000000000000000000001fd00000900000000000000000000000280001781547f8d949ba2a9b0b7bec5ccd3dae1e8eff6fd040b121920272e353c434a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf2f900070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11"},
	{"ICMPv6 router solicitation", 42, 0, false, "6000000000083afffe800000000000007be9a66f56082001ff0200000000000000000000000000028500e4d400000000"},
	{"IGMPv3 report, router alert", 26, 0, false,
		"46c00028000040000102f9ef0a090001e0000016940400002200e8f90000000104000000ef010203"},
}

func TestCompleteKernelPackets(t *testing.T) {
	for _, tt := range kernelPackets {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.hex)
			got := bytes.Clone(want)
			got[tt.sum] ^= 0xa5
			got[tt.sum+1] ^= 0x5a
			if tt.udp > 0 {
				got[tt.udp] ^= 0x33
			}
			if got[0]>>4 == 4 {
				got[3]++
				got[10] ^= 0xff
			} else {
				got[5]++
			}
			mustComplete(t, got)
			if !bytes.Equal(got, want) {
				t.Errorf("\n got %x\nwant %x", got, want)
			}
		})
	}
}

func TestCompleteStatedLengths(t *testing.T) {
	v4 := ip4(17, 0, nil, udp(1, 2, pattern(33)...))
	v6 := ip6(17, udp(1, 2, pattern(33)...))
	for _, stated := range []uint16{0, 1, 20, 61, 0xffff} {
		binary.BigEndian.PutUint16(v4[2:], stated)
		binary.BigEndian.PutUint16(v6[4:], stated)
		binary.BigEndian.PutUint16(v4[24:], stated)
		binary.BigEndian.PutUint16(v6[44:], stated)
		mustComplete(t, v4)
		mustComplete(t, v6)
		checkIPv4Header(t, v4)
		checkSum(t, slowPseudo(addr4A, addr4B, 17, 41), v4[20:], 41)
		checkSum(t, slowPseudo(addr6A, addr6B, 17, 41), v6[40:], 41)
		for _, n := range []uint16{
			binary.BigEndian.Uint16(v4[24:]), binary.BigEndian.Uint16(v6[4:]),
			binary.BigEndian.Uint16(v6[44:]),
		} {
			if n != 41 {
				t.Errorf("stated %d: a length is %d, want 41", stated, n)
			}
		}
	}
}

func TestCompleteUDPZero(t *testing.T) {
	// Choose the two bytes of data that make the checksum come out as zero.
	for _, tt := range []struct {
		name      string
		b         []byte
		transport int
		pseudo    []byte
	}{
		{"UDP over IPv4", ip4(17, 0, nil, udp(1000, 2000, 0, 0)), 20, slowPseudo(addr4A, addr4B, 17, 10)},
		{"UDP over IPv6", ip6(17, udp(1000, 2000, 0, 0)), 40, slowPseudo(addr6A, addr6B, 17, 10)},
		{"UDP-Lite over IPv4", ip4(136, 0, nil, udp(1000, 2000, 0, 0)), 20,
			slowPseudo(addr4A, addr4B, 136, 10)},
		{"UDP-Lite over IPv6", ip6(136, udp(1000, 2000, 0, 0)), 40, slowPseudo(addr6A, addr6B, 136, 10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.b[tt.transport:]
			binary.BigEndian.PutUint16(h[8:], ^slowSum(cat(tt.pseudo, h)))
			if slowSum(cat(tt.pseudo, h)) != 0xffff {
				t.Fatal("the test packet does not have a checksum of zero")
			}
			mustComplete(t, tt.b)
			if got := binary.BigEndian.Uint16(h[6:]); got != 0xffff {
				t.Errorf("checksum %#04x, want 0xffff", got)
			}
		})
	}
	// TCP has no such rule.
	b := ip4(6, 0, nil, tcp(1, 2, 0, 0))
	pseudo := slowPseudo(addr4A, addr4B, 6, 22)
	binary.BigEndian.PutUint16(b[40:], ^slowSum(cat(pseudo, b[20:])))
	mustComplete(t, b)
	if got := binary.BigEndian.Uint16(b[36:]); got != 0 {
		t.Errorf("TCP: checksum %#04x, want 0", got)
	}
}

func TestCompleteCoverage(t *testing.T) {
	lite := func(coverage uint16) []byte {
		h := udp(1, 2, pattern(21)...) // 29 bytes
		binary.BigEndian.PutUint16(h[4:], coverage)
		return h
	}
	dccp := func(offset, coverage uint8) []byte {
		h := make([]byte, 16+21) // generic header of 16 bytes and 21 of data
		copy(h[16:], pattern(21))
		h[4], h[5], h[8] = offset, 0x70|coverage, 1
		return h
	}
	for _, tt := range []struct {
		name     string
		protocol uint8
		h        []byte
		cover    int
		err      error
	}{
		{"UDP-Lite all", 136, lite(0), 29, nil},
		{"UDP-Lite header", 136, lite(8), 8, nil},
		{"UDP-Lite odd", 136, lite(13), 13, nil},
		{"UDP-Lite all, stated", 136, lite(29), 29, nil},
		{"UDP-Lite within the header", 136, lite(7), 0, ErrCoverage},
		{"UDP-Lite beyond the packet", 136, lite(30), 0, ErrCoverage},
		{"DCCP all", 33, dccp(4, 0), 37, nil},
		{"DCCP header", 33, dccp(4, 1), 16, nil},
		{"DCCP header and 8 bytes", 33, dccp(4, 3), 24, nil},
		{"DCCP the most", 33, dccp(4, 6), 36, nil},
		{"DCCP beyond the packet", 33, dccp(4, 7), 0, ErrCoverage},
		{"DCCP header beyond the packet", 33, dccp(10, 1), 0, ErrCoverage},
		{"DCCP header too short", 33, dccp(2, 1), 0, ErrCoverage},
		{"DCCP header length unused", 33, dccp(2, 0), 37, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range []struct {
				b        []byte
				src, dst netip.Addr
			}{{ip4(tt.protocol, 0, nil, tt.h), addr4A, addr4B}, {ip6(tt.protocol, tt.h), addr6A, addr6B}} {
				if err := Complete(v.b); !errors.Is(err, tt.err) {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				if tt.err != nil {
					continue
				}
				h := v.b[len(v.b)-len(tt.h):]
				checkSum(t, slowPseudo(v.src, v.dst, tt.protocol, len(h)), h, tt.cover)
				if !bytes.Equal(h[:6], tt.h[:6]) || !bytes.Equal(h[8:], tt.h[8:]) {
					t.Errorf("changed more than the checksum:\n got %x\nfrom %x", h, tt.h)
				}
			}
		})
	}
}

func TestCompleteSCTP(t *testing.T) {
	// With these two words in place of addresses of any kind the packet is the
	// all-zero example of RFC 3720 appendix B.4.
	b := ip4(132, 0, nil, make([]byte, 8), []byte("junk"), make([]byte, 20))
	mustComplete(t, b)
	if want := []byte{0xaa, 0x36, 0x91, 0x8a}; !bytes.Equal(b[28:32], want) {
		t.Errorf("% x, want % x", b[28:32], want)
	}
}

// Only the IP header of these may change.
func TestCompleteLeavesTransportAlone(t *testing.T) {
	echo := icmp(8, 0, 1, pattern(8)...)
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"first fragment", ip4(17, 0x2000, nil, udp(1, 2, pattern(8)...))},
		{"middle fragment", ip4(17, 0x2001, nil, pattern(16))},
		{"last fragment", ip4(6, 5, nil, pattern(3))},
		{"fragment shorter than its transport header", ip4(6, 0x2000, nil, pattern(8))},
		{"ESP", ip4(50, 0, nil, pattern(40))},
		{"AH over IPv4", ip4(51, 0, nil, pattern(40))},
		{"GRE", ip4(47, 0, nil, pattern(40))},
		{"IP in IP", ip4(4, 0, nil, ip4(17, 0, nil, udp(1, 2)))},
		{"ICMPv6 over IPv4", ip4(58, 0, nil, echo)},
		{"protocol 0 over IPv4", ip4(0, 0, nil, pattern(9))},
		{"reserved protocol", ip4(255, 0, nil)},
		{"IPv6 first fragment", ip6(44, frag6(17, 0, true, 1), udp(1, 2, pattern(8)...))},
		{"IPv6 middle fragment", ip6(44, frag6(17, 8, true, 1), pattern(16))},
		{"IPv6 last fragment", ip6(44, frag6(17, 8, false, 1), pattern(3))},
		{"IPv6 in IPv6", ip6(41, ip6(17, udp(1, 2)))},
		{"ICMP over IPv6", ip6(1, echo)},
		{"IGMP over IPv6", ip6(2, echo)},
		{"no next header", ip6(59, pattern(5))},
		{"mobility header", ip6(135, ext(59, 0, 0, 1, 2))},
		{"unknown routing type without a checksum", ip6(43, ext(50, 99, 1), pattern(20))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := bytes.Clone(tt.b)
			headerLen := 40
			if got[0]>>4 == 4 {
				headerLen = 20
				got[2], got[3] = 0x12, 0x34
			} else {
				got[4], got[5] = 0x12, 0x34
			}
			mustComplete(t, got)
			if !bytes.Equal(got[headerLen:], tt.b[headerLen:]) {
				t.Errorf("\n got %x\nwant %x", got[headerLen:], tt.b[headerLen:])
			}
			if headerLen == 20 {
				checkIPv4Header(t, got)
			} else if n := binary.BigEndian.Uint16(got[4:]); int(n) != len(got)-40 {
				t.Errorf("payload length %d, want %d", n, len(got)-40)
			}
		})
	}
}

func TestCompleteICMPErrorKeepsQuote(t *testing.T) {
	quote := ip4(17, 0, nil, udp(1, 2))
	b := ip4(1, 0, nil, icmp(3, 3, 0, quote...))
	mustComplete(t, b)
	checkSum(t, nil, b[20:], len(b)-20)
	if !bytes.Equal(b[28:], quote) {
		t.Errorf("\n got %x\nwant %x", b[28:], quote)
	}
	quote = ip6(17, udp(1, 2))
	b = ip6(58, icmp(1, 4, 0, quote...))
	mustComplete(t, b)
	checkSum(t, slowPseudo(addr6A, addr6B, 58, len(b)-40), b[40:], len(b)-40)
	if !bytes.Equal(b[48:], quote) {
		t.Errorf("\n got %x\nwant %x", b[48:], quote)
	}
}

func TestCompleteAtomicFragment(t *testing.T) {
	b := ip6(44, frag6(17, 0, false, 77), udp(1, 2, pattern(9)...))
	mustComplete(t, b)
	checkSum(t, slowPseudo(addr6A, addr6B, 17, 17), b[48:], 17)
}

func TestCompleteErrorsLeavePacketAlone(t *testing.T) {
	home := ext(6, append([]byte{2, 2}, make([]byte, 20)...)...) // segments left 2
	jumbo := ext(6, 0xc2, 4, 0, 1, 0, 0)
	for _, tt := range []struct {
		name string
		b    []byte
		err  error
	}{
		{"empty", nil, ErrShortHeader},
		{"not IP", pattern(64), ErrNotIP},
		{"IPv4 header cut", ip4(6, 0, nil)[:19], ErrShortHeader},
		{"IPv4 header length", append([]byte{0x44}, ip4(6, 0, nil, tcp(1, 2))[1:]...), ErrHeaderLength},
		{"IPv4 options cut", ip4(6, 0, make([]byte, 12))[:30], ErrShortHeader},
		{"IPv6 header cut", ip6(6)[:39], ErrShortHeader},
		{"IPv6 extension header cut", ip6(60, []byte{6, 1}, tcp(1, 2)[:13]), ErrShortExtension},
		{"TCP", ip4(6, 0, nil, pattern(19)), ErrShortTransport},
		{"TCP missing", ip4(6, 0, nil), ErrShortTransport},
		{"TCP over IPv6", ip6(6, pattern(19)), ErrShortTransport},
		{"UDP", ip4(17, 0, nil, pattern(7)), ErrShortTransport},
		{"UDP-Lite", ip6(136, pattern(7)), ErrShortTransport},
		{"ICMP", ip4(1, 0, nil, pattern(3)), ErrShortTransport},
		{"ICMPv6", ip6(58, pattern(3)), ErrShortTransport},
		{"IGMP", ip4(2, 0, nil, pattern(7)), ErrShortTransport},
		{"SCTP", ip4(132, 0, nil, pattern(11)), ErrShortTransport},
		{"DCCP", ip6(33, pattern(11)), ErrShortTransport},
		{"UDP-Lite coverage", ip4(136, 0, nil, []byte{0, 1, 0, 2, 0, 4, 0, 0}), ErrCoverage},
		{"routing header", ip6(43, home, tcp(1, 2)), ErrRoutingHeader},
		{"needless jumbo option", ip6(0, jumbo, tcp(1, 2)), ErrNeedlessJumbo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.b)
			if err := Complete(tt.b); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if !bytes.Equal(tt.b, before) {
				t.Errorf("changed:\n got %x\nwant %x", tt.b, before)
			}
		})
	}
}

func TestCompleteLarge(t *testing.T) {
	for _, n := range []int{65531, 65535, 65536, 65575, 65576, 200000} {
		b := ip4(6, 0, nil, tcp(1, 2), pattern(n-40))
		mustComplete(t, b)
		wantLen := n
		if n > 65535 {
			wantLen = 0
		}
		if got := int(binary.BigEndian.Uint16(b[2:])); got != wantLen {
			t.Errorf("IPv4 of %d bytes: total length %d, want %d", n, got, wantLen)
		}
		if got := slowSum(b[:20]); got != 0xffff {
			t.Errorf("IPv4 of %d bytes: the header sums up to %#04x", n, got)
		}
		checkSum(t, slowPseudo(addr4A, addr4B, 6, n-20), b[20:], n-20)

		b = ip6(17, udp(1, 2), pattern(n-48))
		mustComplete(t, b)
		wantLen = n - 40
		if wantLen > 65535 {
			wantLen = 0
		}
		if got := int(binary.BigEndian.Uint16(b[4:])); got != wantLen {
			t.Errorf("IPv6 of %d bytes: payload length %d, want %d", n, got, wantLen)
		}
		if got := int(binary.BigEndian.Uint16(b[44:])); got != wantLen {
			t.Errorf("IPv6 of %d bytes: UDP length %d, want %d", n, got, wantLen)
		}
		checkSum(t, slowPseudo(addr6A, addr6B, 17, n-40), b[40:], n-40)
	}
}

func TestCompleteJumbo(t *testing.T) {
	b := ip6(0, ext(6, 0xc2, 4, 9, 9, 9, 9), tcp(1, 2), pattern(70000))
	mustComplete(t, b)
	if got := binary.BigEndian.Uint16(b[4:]); got != 0 {
		t.Errorf("payload length %d, want 0", got)
	}
	if got := binary.BigEndian.Uint32(b[44:]); int(got) != len(b)-40 {
		t.Errorf("jumbo payload length %d, want %d", got, len(b)-40)
	}
	checkSum(t, slowPseudo(addr6A, addr6B, 6, 70020), b[48:], 70020)

	// The payload length decides, not that of the packet.
	if err := Complete(b[:40+65535]); !errors.Is(err, ErrNeedlessJumbo) {
		t.Errorf("payload of 65535 bytes: error %v, want %v", err, ErrNeedlessJumbo)
	}
	mustComplete(t, b[:40+65536])
}

func TestNoAllocations(t *testing.T) {
	route := append([]byte{4, 1, 0, 0, 0, 0}, addr6C.AsSlice()...)
	packets := [][]byte{
		ip4(6, 0, nil, tcp(1, 2, pattern(99)...)),
		ip4(17, 0, []byte{131, 7, 4, 203, 0, 113, 200, 0}, udp(1, 2, pattern(99)...)),
		ip4(132, 0, nil, pattern(120)),
		ip4(1, 0, nil, icmp(3, 3, 0, ip4(17, 0, nil, udp(1, 2))...)),
		ip6(60, ext(43), ext(6, route...), tcp(1, 2)),
		ip6(58, icmp(128, 0, 7)),
		ip6(44, frag6(17, 8, true, 7), pattern(80)),
		ip6(60, []byte{60, 200}),                                           // refused by all
		ip6(43, ext(6, append([]byte{99, 1}, route[2:]...)...), tcp(1, 2)), // refused by Complete
		pattern(40),
		nil,
	}
	var sink uint64
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range packets {
			l, _ := Parse(b)
			f, _ := FlowOf(b)
			q, _ := QuotedFlow(b)
			sink += uint64(l.Len) + f.Reverse().Hash() + q.Hash() + HashOf(b)
			_ = Complete(b)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestPartialChecksumInside: UDP with a sum of its pseudo-header as its checksum, whichever Linux
// writes there, is no tunnel's.
func TestPartialChecksumInside(t *testing.T) {
	sum := func(dst netip.Addr, length int) uint16 {
		return slowSum(slowPseudo(addr4A, dst, 17,
			length))
	}
	datagram := func(sum uint16, body ...byte) []byte {
		d := udp(1, 4789, body...)
		binary.BigEndian.PutUint16(d[6:], sum)
		return d
	}
	list := bytes.Repeat([]byte("a datagram "), 100) // put together of datagrams of 110 bytes
	route := append([]byte{131, 7, 4}, append(addr4C.AsSlice(), 0)...)
	inner := ip4(6, 0, nil, tcp(1, 2, bytes.Repeat([]byte{1}, 1000)...))
	vxlan := cat(make([]byte, 8), make([]byte, 14), inner)
	inner6 := ip6(6, tcp(1, 2, bytes.Repeat([]byte{1}, 1000)...))
	geneve := cat(make([]byte, 8+63*4), make([]byte, 14), inner6)
	for _, tt := range []struct {
		name     string
		b        []byte
		segments bool
		want     bool
	}{
		{"UDP", ip4(17, 0, nil, datagram(sum(addr4B, 10), 1, 2)), false, false},
		{"super-packet", ip4(17, 0, nil, datagram(sum(addr4B, 1108), list...)), true, false},
		{"source route, final destination", ip4(17, 0, route, datagram(sum(addr4C, 10), 1, 2)), false,
			false},
		{"source route, next hop", ip4(17, 0, route, datagram(sum(addr4B, 10), 1, 2)), false, false},
		{"list of datagrams", ip4(17, 0, nil, datagram(sum(addr4B, 118), list...)), true, false},
		{"list of datagrams, one too many", ip4(17, 0, nil, datagram(sum(addr4B, 25), list...)), true,
			true},
		{"a list that is no super-packet", ip4(17, 0, nil, datagram(sum(addr4B, 118), list...)), false,
			true},
		{"a list longer than the packet", ip4(17, 0, nil, datagram(sum(addr4B, 1109), list...)), true,
			true},
		{"VXLAN that looks like a list", ip4(17, 0, nil, datagram(sum(addr4B, 118), vxlan...)), true,
			true},
		{"GENEVE that looks like a list", ip4(17, 0, nil, datagram(sum(addr4B, 118), geneve...)), true,
			true},
		{"FOU that looks like a list", ip4(17, 0, nil, datagram(sum(addr4B, 118), inner...)), true, true},
		{"no checksum", ip4(17, 0, nil, datagram(0, list...)), true, true},
		{"IPv6", ip6(17, datagram(slowSum(slowPseudo(addr6A, addr6B, 17, 118)), list...)), true, false},
		{"fragment", ip4(17, 0x2000, nil, datagram(sum(addr4B, 10), 1, 2)), false, true},
		{"TCP", ip4(6, 0, nil, tcp(1, 2)), true, false},
		{"GRE", ip4(47, 0, nil, make([]byte, 4), inner), true, true},
		{"cut in the header", ip4(17, 0, nil, udp(1, 2)[:7]), false, true},
	} {
		l, err := Parse(tt.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.PartialChecksumInside(tt.b, tt.segments); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
