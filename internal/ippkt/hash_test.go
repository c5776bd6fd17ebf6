// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
)

func TestHashBothDirections(t *testing.T) {
	for _, f := range []Flow{
		{},
		flow4(Flow{Protocol: 6, SrcPort: 1, DstPort: 2}),
		flow4(Flow{Protocol: 1, ICMPType: 8, ICMPID: 7}),
		flow4(Flow{Protocol: 17, SrcPort: 5, DstPort: 5}),
		flow6(Flow{Protocol: 17, SrcPort: 0xffff, DstPort: 1}),
		flow6(Flow{Protocol: 58, ICMPType: 128, ICMPID: 7}),
		flow6(Flow{Protocol: 6, SrcPort: 5, Fragment: true}),
		{Src: addr4A, Dst: addr4A, Protocol: 6, SrcPort: 1, DstPort: 2},
	} {
		if a, b := f.Hash(), f.Reverse().Hash(); a != b {
			t.Errorf("%+v: %#x, reversed %#x", f, a, b)
		}
	}
}

func TestHashTellsFlowsApart(t *testing.T) {
	base := flow4(Flow{Protocol: 6, SrcPort: 1, DstPort: 2})
	swapped := base
	swapped.SrcPort, swapped.DstPort = 2, 1 // the ports of the reply, not its addresses
	seen := map[uint64]Flow{}
	for _, f := range []Flow{
		base, swapped,
		flow4(Flow{Protocol: 17, SrcPort: 1, DstPort: 2}),
		flow4(Flow{Protocol: 6, SrcPort: 1, DstPort: 3}),
		flow4(Flow{Protocol: 6, SrcPort: 0, DstPort: 2}),
		{Src: addr4A, Dst: addr4C, Protocol: 6, SrcPort: 1, DstPort: 2},
		flow6(Flow{Protocol: 6, SrcPort: 1, DstPort: 2}),
		flow4(Flow{Protocol: 1, ICMPType: 8, ICMPID: 1}),
		flow4(Flow{Protocol: 1, ICMPType: 8, ICMPID: 2}),
		flow4(Flow{Fragment: true}),
		{},
	} {
		h := f.Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("equal hashes:\n%+v\n%+v", f, other)
		}
		seen[h] = f
	}
}

func TestHashOfFragments(t *testing.T) {
	// The first fragment has ports, and the chain of headers that the others
	// lack: they state another protocol.
	six := [][]byte{
		ip6(44, frag6(60, 0, true, 1), ext(17), udp(1, 2, pattern(16)...)),
		ip6(44, frag6(60, 32, true, 1), pattern(16)),
		ip6(44, frag6(17, 48, false, 1), pattern(3)),
		ip6(44, frag6(60, 0, true, 1), []byte{60}), // header chain cut
	}
	four := [][]byte{
		ip4(17, 0x2000, nil, udp(1, 2, pattern(16)...)),
		ip4(17, 0x2003, nil, pattern(16)),
		ip4(17, 0x0005, nil, pattern(3)),
	}
	icmpError := [][]byte{
		ip4(1, 0x2000, nil, icmp(3, 3, 0, ip4(17, 0, nil, udp(1, 2))...)),
		ip4(1, 0x0005, nil, pattern(3)),
	}
	for _, datagram := range [][][]byte{six, four, icmpError} {
		want := HashOf(datagram[0])
		for i, b := range datagram {
			if got := HashOf(b); got != want {
				t.Errorf("fragment %d of %x: %#x, want %#x", i, datagram[0], got, want)
			}
		}
	}
	if HashOf(four[0]) == HashOf(ip4(17, 0, nil, udp(1, 2))) {
		t.Error("a fragment hashes like a whole datagram")
	}
}

func TestHashOfICMPErrorIsThatOfItsFlow(t *testing.T) {
	packet := ip4(17, 0, nil, udp(5000, 53, pattern(40)...))
	answer := ip4(17, 0, nil, udp(53, 5000))
	copy(answer[12:], addr4B.AsSlice())
	copy(answer[16:], addr4A.AsSlice())
	report := ip4(1, 0, nil, icmp(11, 0, 0, packet[:28]...)) // from a router on the way
	copy(report[12:], addr4C.AsSlice())
	copy(report[16:], addr4A.AsSlice())
	if a, b, c := HashOf(packet), HashOf(answer), HashOf(report); a != b || a != c {
		t.Errorf("packet %#x, answer %#x, ICMP error %#x", a, b, c)
	}
	packet = ip6(6, tcp(5000, 80))
	report = ip6(58, icmp(2, 0, 0, packet...))
	copy(report[8:], addr6C.AsSlice())
	copy(report[24:], addr6A.AsSlice())
	if a, b := HashOf(packet), HashOf(report); a != b {
		t.Errorf("IPv6 packet %#x, ICMPv6 error %#x", a, b)
	}
}

func TestHashOfNoPacket(t *testing.T) {
	want := Flow{}.Hash()
	for _, b := range [][]byte{nil, {0x45}, {0, 1, 8, 0}, pattern(40)} {
		if got := HashOf(b); got != want {
			t.Errorf("%x: %#x, want %#x", b, got, want)
		}
	}
}

// Flows that differ in few bits must spread evenly, however the hash is cut
// down to a worker's number.
func TestHashSpreads(t *testing.T) {
	const flows = 1 << 14
	kinds := map[string]func(i int) Flow{
		"source ports": func(i int) Flow {
			return flow4(Flow{Protocol: 6, SrcPort: uint16(1024 + i), DstPort: 443})
		},
		"source addresses": func(i int) Flow {
			src := [4]byte{10}
			binary.BigEndian.PutUint16(src[2:], uint16(i))
			return Flow{Src: netip.AddrFrom4(src), Dst: addr4B, Protocol: 6, SrcPort: 40000, DstPort: 443}
		},
		"IPv6 interface identifiers": func(i int) Flow {
			src := addr6A.As16()
			binary.BigEndian.PutUint16(src[10:], uint16(i))
			return Flow{Src: netip.AddrFrom16(src), Dst: addr6B, Protocol: 17, SrcPort: 40000, DstPort: 443}
		},
		"echo identifiers": func(i int) Flow {
			return flow4(Flow{Protocol: 1, ICMPType: 8, ICMPID: uint16(i)})
		},
		"fragments": func(i int) Flow {
			src := [4]byte{10}
			binary.BigEndian.PutUint16(src[2:], uint16(i))
			return Flow{Src: netip.AddrFrom4(src), Dst: addr4B, Protocol: 17, Fragment: true,
				NoTransport: true}
		},
	}
	cuts := map[string]func(h uint64, n int) int{
		"modulo":    func(h uint64, n int) int { return int(h % uint64(n)) },
		"high bits": func(h uint64, n int) int { return int((h >> 32) * uint64(n) >> 32) },
	}
	for kind, flow := range kinds {
		for cut, worker := range cuts {
			for _, n := range []int{2, 3, 4, 8, 16} {
				t.Run(fmt.Sprint(kind, "/", cut, "/", n), func(t *testing.T) {
					counts := make([]int, n)
					for i := range flows {
						counts[worker(flow(i).Hash(), n)]++
					}
					for w, got := range counts {
						// Seven standard deviations: never for a fair hash.
						mean := float64(flows) / float64(n)
						if d := float64(got) - mean; d*d > 49*mean {
							t.Errorf("worker %d of %d has %d flows, the mean is %.0f", w, n, got, mean)
						}
					}
				})
			}
		}
	}
}
