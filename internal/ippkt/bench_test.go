// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"fmt"
	"testing"
)

func benchmarkPackets() map[string][]byte {
	// As many extension headers as fit: the longest walk there is.
	var chain []byte
	for range (65531 - 40) / 8 {
		chain = append(chain, 60, 0, 1, 4, 0, 0, 0, 0)
	}
	return map[string][]byte{
		"IPv4 TCP":                    ip4(6, 0, nil, tcp(40000, 443)),
		"IPv6 UDP":                    ip6(17, udp(40000, 443)),
		"IPv6 TCP, extension headers": ip6(0, ext(60), ext(6), tcp(40000, 443)),
		"ICMP error":                  ip4(1, 0, nil, icmp(3, 3, 0, ip4(17, 0, nil, udp(1, 2))...)),
		"IPv6, hostile":               ip6(60, chain),
	}
}

func BenchmarkParse(b *testing.B) {
	for name, p := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Parse(p)
			}
		})
	}
}

func BenchmarkFlowOf(b *testing.B) {
	for name, p := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = FlowOf(p)
			}
		})
	}
}

func BenchmarkFindTransport(b *testing.B) {
	for name, p := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				FindTransport(p, false)
			}
		})
	}
}

func BenchmarkHashOf(b *testing.B) {
	for name, p := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				HashOf(p)
			}
		})
	}
}

func BenchmarkComplete(b *testing.B) {
	for _, n := range []int{64, 1500, 65531} {
		for name, p := range map[string][]byte{
			"IPv4 TCP":  ip4(6, 0, nil, tcp(40000, 443), pattern(n-40)),
			"IPv6 UDP":  ip6(17, udp(40000, 443), pattern(n-48)),
			"IPv4 SCTP": ip4(132, 0, nil, pattern(n-20)),
		} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					if err := Complete(p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

var sizes = []int{20, 64, 576, 1500, 9000, 65531}

func BenchmarkSum(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := random(n)
			b.SetBytes(int64(n))
			var sum uint64
			for b.Loop() {
				sum = Sum(sum&0xffff, buf)
			}
		})
	}
}

func BenchmarkCRC32c(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := random(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				CRC32c(buf)
			}
		})
	}
}
