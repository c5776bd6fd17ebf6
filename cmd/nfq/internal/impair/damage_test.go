// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

var (
	from4, to4 = netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:2000")
	from6, to6 = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort(
		"[2001:db8::2]:2000",
	)
)

// damaged are packets, with the lengths of their IP headers and of all headers.
var damaged = []struct {
	name        string
	packet      []byte
	ip, headers int
}{
	{"udp4", nfqueuetest.UDP(from4, to4, []byte("damage me")), 20, 28},
	{"udp6", nfqueuetest.UDP(from6, to6, []byte("damage me")), 40, 48},
	{"tcp4", nfqueuetest.TCP(from4, to4, nfqueuetest.TCPHeader{}, []byte("damage me")), 20, 40},
	{"empty udp4", nfqueuetest.UDP(from4, to4, nil), 20, 28},
	{"not ip", []byte{0, 1, 2, 3, 4, 5}, 0, 0},
}

func TestFlip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, test := range damaged {
		for _, repair := range []bool{false, true} {
			for _, how := range []Flip{FlipBit, FlipByte} {
				from := test.ip
				if repair {
					from = test.headers
				}
				hit := make(map[int]bool)
				for range 2000 {
					b := bytes.Clone(test.packet)
					if done := flip(b, how, repair, random.Uint64()); done != (from < len(b)) {
						t.Fatalf("%s, repair %v: damaged %v", test.name, repair, done)
					}
					changed := 0
					for i := range b {
						if x := b[i] ^ test.packet[i]; x != 0 {
							changed++
							hit[i] = true
							if how == FlipBit && bits.OnesCount8(x) != 1 {
								t.Fatalf("%s: byte %d: bits %08b", test.name, i, x)
							}
						}
					}
					if changed > 1 || changed == 0 && from < len(b) {
						t.Fatalf("%s: %d bytes changed", test.name, changed)
					}
				}
				for i := range test.packet {
					if hit[i] != (i >= from) {
						t.Errorf("%s, repair %v: byte %d hit: %v", test.name, repair, i, hit[i])
					}
				}
			}
		}
	}
}

func TestCut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, test := range damaged {
		for _, repair := range []bool{false, true} {
			least := max(test.ip, 1)
			if repair {
				least = max(test.headers, 1)
			}
			lengths := make(map[int]bool)
			for range 2000 {
				lengths[len(cut(test.packet, 0, repair, random.Uint64()))] = true
			}
			for n := range len(test.packet) + 1 {
				want := n >= least && n < len(test.packet) || n == len(test.packet) && least == n
				if lengths[n] != want {
					t.Errorf("%s, repair %v: length %d: %v", test.name, repair, n, lengths[n])
				}
			}
			for to := 1; to < len(test.packet)+5; to++ {
				if n, want := len(cut(test.packet, to, repair, 0)),
					min(max(to, least), len(test.packet)); n != want {
					t.Errorf("%s, repair %v: cut to %d: %d left, want %d", test.name, repair, to, n, want)
				}
			}
		}
	}
}
