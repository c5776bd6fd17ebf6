// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/layerbuild"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/gopacket/gopacket/layers"
)

// A rule matches here what it would in the kernel.
func TestReplayMatches(t *testing.T) {
	udp := layerbuild.Build(
		&layers.IPv4{
			Version:  4,
			TTL:      64,
			Protocol: layers.IPProtocolUDP,
			SrcIP:    []byte{192, 0, 2, 1},
			DstIP:    []byte{198, 51, 100, 7},
		},
		&layers.UDP{SrcPort: 4000, DstPort: 53},
	)
	ping := layerbuild.Build(
		&layers.IPv4{
			Version:  4,
			TTL:      64,
			Protocol: layers.IPProtocolICMPv4,
			SrcIP:    []byte{192, 0, 2, 1},
			DstIP:    []byte{198, 51, 100, 7},
		},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)},
	)
	later := layerbuild.Build(
		&layers.IPv4{
			Version:    4,
			TTL:        64,
			Protocol:   layers.IPProtocolUDP,
			FragOffset: 100,
			SrcIP:      []byte{192, 0, 2, 1},
			DstIP:      []byte{198, 51, 100, 7},
		},
	)
	ip4 := func(protocol nfqueue.Protocol) []byte {
		return layerbuild.Build(&layers.IPv4{
			Version: 4, TTL: 64, Protocol: layers.IPProtocol(protocol),
			SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{198, 51, 100, 7},
		})
	}
	ip6 := func(next byte, behind ...byte) []byte {
		b := append([]byte{0x60, 0, 0, 0, 0, byte(len(behind)), next, 64}, make([]byte, 32)...)
		return append(b, behind...)
	}
	message := []byte{135, 0, 0, 0, 0, 0, 0, 0}
	options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	authenticated := ip6(51, append([]byte{58, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, message...)...)
	laterOptions := ip6(44, append([]byte{60, 0, 1, 1, 0, 0, 0, 1}, options(17)...)...)
	for _, c := range []struct {
		rule   string
		packet []byte
		want   bool
	}{
		{"forward icmpv6", ip6(60, append(options(58), message...)...), true},
		{"forward icmpv6", ip6(60, options(58)[:4]...), false},
		{"forward not tcp", ip6(60, options(58)[:4]...), false},
		{"forward icmpv6", ip4(rules.ICMPv6), false},
		{"forward icmp", ip6(1, message...), false},
		{"forward not icmpv6", ip4(rules.ICMPv6), false},
		{"forward icmpv6", authenticated, false},
		{"forward proto 51", authenticated, true},
		{"forward not icmpv6", authenticated, true},
		{"forward proto 17", laterOptions, false},
		{"forward not tcp", laterOptions, false},
		{"forward not tcp", ip6(44, 17, 0, 1, 1, 0, 0, 0, 1), true},
		{"forward not tcp", ip6(44, 44, 0, 1, 1, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0), false},
		{"forward ip6", laterOptions, true},
		{"forward", udp, true},
		{"forward ip", udp, true},
		{"forward ip6", udp, false},
		{"forward udp", udp, true},
		{"forward tcp", udp, false},
		{"forward proto 17", udp, true},
		{"forward udp dport 53", udp, true},
		{"forward udp dport 54", udp, false},
		{"forward udp dport 50-60", udp, true},
		{"forward udp sport 3999-4000", udp, true},
		{"forward udp sport 53", udp, false},
		{"forward udp port 53", udp, true},
		{"forward udp port 4000", udp, true},
		{"forward udp port 1-52", udp, false},
		{"forward udp dport 53", later, false},
		{"forward udp", later, true},
		{"forward saddr 192.0.2.0/24", udp, true},
		{"forward saddr 192.0.3.0/24", udp, false},
		{"forward daddr 198.51.100.7", udp, true},
		{"forward daddr 198.51.100.8", udp, false},
		{"forward iif eth0", udp, true},
		{"forward iif eth1", udp, false},
		{"forward oif eth1", udp, true},
		{"forward oif eth0", udp, false},
		{"forward mark 0x12/0xff", udp, true},
		{"forward mark 0x12", udp, false},
		{"forward icmp type echo-request", ping, true},
		{"forward icmp type echo-reply", ping, false},
		{"forward icmp type echo-request", udp, false},
		{"forward udp dport 1-9,53,60", udp, true},
		{"forward udp dport 1-9,54", udp, false},
		{"forward udp not dport 1-9,54", udp, true},
		{"forward udp not dport 53", udp, false},
		{"forward udp not dport 54", later, false},
		{"forward udp not port 53", udp, false},
		{"forward udp not port 80,81", udp, true},
		{"forward not udp", ping, true},
		{"forward not udp", udp, false},
		{"forward saddr 192.0.3.0/24,192.0.2.0/24", udp, true},
		{"forward not saddr 192.0.3.0/24,192.0.2.0/24", udp, false},
		{"forward not saddr 192.0.3.0/24", udp, true},
		{"forward not saddr 2001:db8::/32", udp, false},
		{"forward not iif eth1", udp, true},
		{"forward not oif eth1", udp, false},
		{"forward not mark 0x12/0xff", udp, false},
		{"forward not mark 1", udp, true},
		{"forward icmp not type echo-request", ping, false},
		{"forward icmp not type echo-reply", ping, true},
	} {
		r, err := rules.Parse(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		nfqueuetest.Do(
			t,
			nfqueue.Config{},
			nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if got := matches(r, p); got != c.want {
					t.Errorf("%q: %v", c.rule, got)
				}
				return nfqueue.Accept
			}),
			nfqueuetest.Spec{Hook: nfqueue.HookForward, Payload: c.packet, Mark: 0x112},
		)
	}
}
