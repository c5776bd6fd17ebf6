// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// gopacket is the second implementation: what it serialises with lengths and
// checksums must come out of Complete unchanged after both were spoilt.

type oracleTransport struct {
	name     string
	protocol layers.IPProtocol
	sum      [2]int // where the checksum is in the header
	udp      bool   // with a length field
	layer    func(gopacket.NetworkLayer) (gopacket.SerializableLayer, error)
}

func oracleTransports() []oracleTransport {
	return []oracleTransport{
		{"TCP", layers.IPProtocolTCP, [2]int{16, 18}, false,
			func(n gopacket.NetworkLayer) (gopacket.SerializableLayer, error) {
				l := &layers.TCP{SrcPort: 51000, DstPort: 443, Seq: 0xdeadbeef, Ack: 77, ACK: true, Window: 502}
				return l, l.SetNetworkLayerForChecksum(n)
			}},
		{"TCP with options", layers.IPProtocolTCP, [2]int{16, 18}, false,
			func(n gopacket.NetworkLayer) (gopacket.SerializableLayer, error) {
				l := &layers.TCP{SrcPort: 51000, DstPort: 443, SYN: true, Options: []layers.TCPOption{
					{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
					{OptionType: layers.TCPOptionKindNop},
				}}
				return l, l.SetNetworkLayerForChecksum(n)
			}},
		{"UDP", layers.IPProtocolUDP, [2]int{6, 8}, true,
			func(n gopacket.NetworkLayer) (gopacket.SerializableLayer, error) {
				l := &layers.UDP{SrcPort: 5353, DstPort: 53}
				return l, l.SetNetworkLayerForChecksum(n)
			}},
		{"SCTP", layers.IPProtocolSCTP, [2]int{8, 12}, false,
			func(gopacket.NetworkLayer) (gopacket.SerializableLayer, error) {
				return &layers.SCTP{SrcPort: 36412, DstPort: 36412, VerificationTag: 0xcafebabe}, nil
			}},
		{"ICMP", 0, [2]int{2, 4}, false, func(n gopacket.NetworkLayer) (gopacket.SerializableLayer,
			error) {
			if _, ok := n.(*layers.IPv4); ok {
				return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 0x1234, Seq: 7}, nil
			}
			l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
			return l, l.SetNetworkLayerForChecksum(n)
		}},
	}
}

var oracleNetworks = []struct {
	name      string
	headerLen int // all before the transport header
	layers    func(layers.IPProtocol) (gopacket.NetworkLayer, []gopacket.SerializableLayer)
}{
	{"IPv4", 20, func(p layers.IPProtocol) (gopacket.NetworkLayer, []gopacket.SerializableLayer) {
		return oracleIPv4(p, nil)
	}},
	{"IPv4 with options", 32, func(p layers.IPProtocol) (gopacket.NetworkLayer,
		[]gopacket.SerializableLayer) {
		return oracleIPv4(p, []layers.IPv4Option{
			{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}},          // router alert
			{OptionType: 7, OptionLength: 7, OptionData: []byte{8, 192, 0, 2, 9}}, // record route
			{OptionType: 0, OptionLength: 1},
		})
	}},
	{"IPv6", 40, func(p layers.IPProtocol) (gopacket.NetworkLayer, []gopacket.SerializableLayer) {
		ip := oracleIPv6(p)
		return ip, []gopacket.SerializableLayer{ip}
	}},
	{"IPv6 with hop-by-hop options", 48, func(p layers.IPProtocol) (gopacket.NetworkLayer,
		[]gopacket.SerializableLayer) {
		ip := oracleIPv6(layers.IPProtocolIPv6HopByHop)
		hop := &layers.IPv6HopByHop{Options: []*layers.IPv6HopByHopOption{
			{OptionType: 5, OptionData: []byte{0, 0}}, {OptionType: 1},
		}}
		hop.NextHeader = p
		return ip, []gopacket.SerializableLayer{ip, hop}
	}},
	{"IPv6 with destination options", 56, func(p layers.IPProtocol) (gopacket.NetworkLayer,
		[]gopacket.SerializableLayer) {
		ip := oracleIPv6(layers.IPProtocolIPv6Destination)
		dst := &layers.IPv6Destination{Options: []*layers.IPv6DestinationOption{
			{OptionType: 0x1e, OptionData: []byte("12345678")},
		}}
		dst.NextHeader = p
		return ip, []gopacket.SerializableLayer{ip, dst}
	}},
	{"IPv6 with destination options and an atomic fragment header", 56,
		func(p layers.IPProtocol) (gopacket.NetworkLayer, []gopacket.SerializableLayer) {
			ip := oracleIPv6(layers.IPProtocolIPv6Destination)
			dst := &layers.IPv6Destination{Options: []*layers.IPv6DestinationOption{{OptionType: 0x1e,
				OptionData: []byte("1234")}}}
			dst.NextHeader = layers.IPProtocolIPv6Fragment
			return ip, []gopacket.SerializableLayer{ip, dst, &layers.IPv6Fragment{NextHeader: p,
				Identification: 0xfeedface}}
		}},
}

func oracleIPv4(p layers.IPProtocol, options []layers.IPv4Option) (gopacket.NetworkLayer,
	[]gopacket.SerializableLayer) {
	ip := &layers.IPv4{
		Version: 4, IHL: 5, TTL: 63, Id: 0xabcd, Flags: layers.IPv4DontFragment, Protocol: p,
		Options: options,
		SrcIP:   net.IP(addr4A.AsSlice()), DstIP: net.IP(addr4B.AsSlice()),
	}
	return ip, []gopacket.SerializableLayer{ip}
}

func oracleIPv6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, HopLimit: 63, FlowLabel: 0xabcde, NextHeader: next,
		SrcIP: net.IP(addr6A.AsSlice()), DstIP: net.IP(addr6B.AsSlice()),
	}
}

func TestCompleteAgainstGopacket(t *testing.T) {
	data := pattern(1500)
	for _, network := range oracleNetworks {
		for _, transport := range oracleTransports() {
			t.Run(network.name+"/"+transport.name, func(t *testing.T) {
				p := transport.protocol
				if transport.name == "ICMP" {
					p = layers.IPProtocolICMPv4
					if network.headerLen >= 40 {
						p = layers.IPProtocolICMPv6
					}
				}
				for n := range len(data) + 1 {
					if transport.name == "ICMP" && network.headerLen >= 40 && n < 4 {
						continue // gopacket counts the identifier and sequence as data
					}
					ip, stack := network.layers(p)
					top, err := transport.layer(ip)
					if err != nil {
						t.Fatal(err)
					}
					stack = append(stack, top, gopacket.Payload(data[:n]))
					buf := gopacket.NewSerializeBuffer()
					opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
					if err := gopacket.SerializeLayers(buf, opts, stack...); err != nil {
						t.Fatal(err)
					}
					want := buf.Bytes()
					if l, err := Parse(want); err != nil || l.TransportHeaderOffset != network.headerLen ||
						l.Protocol != Protocol(p) || l.Len != len(want) || l.TotalLen != len(want) {
						t.Fatalf("%d bytes: Parse: %+v, %v", n, l, err)
					}

					got := bytes.Clone(want)
					spoil := func(from, to int) {
						for i := from; i < to; i++ {
							got[i] ^= byte(0x5a + n)
						}
					}
					if network.headerLen < 40 {
						spoil(2, 4)
						spoil(10, 12)
					} else {
						spoil(4, 6)
					}
					spoil(network.headerLen+transport.sum[0], network.headerLen+transport.sum[1])
					if transport.udp {
						spoil(network.headerLen+4, network.headerLen+6)
					}
					for range 2 { // once is enough, twice no harm
						if err := Complete(got); err != nil {
							t.Fatalf("%d bytes: %v", n, err)
						}
						if !bytes.Equal(got, want) {
							t.Fatalf("%d bytes:\n got %x\nwant %x", n, got, want)
						}
					}
				}
			})
		}
	}
}

func TestFlowAgainstGopacket(t *testing.T) {
	for _, network := range oracleNetworks {
		for _, transport := range oracleTransports() {
			if transport.name == "ICMP" {
				continue // no ports
			}
			ip, stack := network.layers(transport.protocol)
			top, err := transport.layer(ip)
			if err != nil {
				t.Fatal(err)
			}
			buf := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true},
				append(stack, top)...); err != nil {
				t.Fatal(err)
			}
			first := layers.LayerTypeIPv4
			if network.headerLen >= 40 {
				first = layers.LayerTypeIPv6
			}
			p := gopacket.NewPacket(buf.Bytes(), first, gopacket.Default)
			if p.TransportLayer() == nil && p.Layer(layers.LayerTypeIPv6Fragment) != nil {
				continue // gopacket does not look behind an atomic Fragment header
			}
			f, err := FlowOf(buf.Bytes())
			if err != nil {
				t.Errorf("%s/%s: %v", network.name, transport.name, err)
			}
			src, dst := p.NetworkLayer().NetworkFlow().Endpoints()
			if !bytes.Equal(f.Src.AsSlice(), src.Raw()) || !bytes.Equal(f.Dst.AsSlice(), dst.Raw()) {
				t.Errorf("%s/%s: %v to %v, want %v to %v", network.name, transport.name, f.Src, f.Dst, src, dst)
			}
			src, dst = p.TransportLayer().TransportFlow().Endpoints()
			if got := []byte{byte(f.SrcPort >> 8), byte(f.SrcPort), byte(f.DstPort >> 8),
				byte(f.DstPort)}; !bytes.Equal(got, cat(src.Raw(), dst.Raw())) {
				t.Errorf("%s/%s: port %d to %d, want %v to %v", network.name, transport.name, f.SrcPort,
					f.DstPort, src, dst)
			}
		}
	}
}

func completeSegments(b []byte) error {
	c, err := Plan(b, Segments)
	if err == nil {
		c.Apply(b)
	}
	return err
}

// TestCompleteSegments: the sum of the pseudo-header that UDP gets is what makes the data's own
// sum a checksum, for any way to cut the data.
func TestCompleteSegments(t *testing.T) {
	for _, network := range oracleNetworks {
		ip, stack := network.layers(layers.IPProtocolUDP)
		udp := &layers.UDP{SrcPort: 5353, DstPort: 53}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, opts, append(stack, udp,
			gopacket.Payload(pattern(3000)))...); err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(buf.Bytes())
		got := bytes.Clone(want)
		if err := completeSegments(got); err != nil {
			t.Fatal(err)
		}
		h := got[network.headerLen:]
		// The kernel's way from a partial checksum to a whole one: add up all, then invert.
		sum := ^slowSum(h)
		if sum == 0 {
			sum = 0xffff
		}
		h[6], h[7] = byte(sum>>8), byte(sum)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", network.name, got[:network.headerLen+8],
				want[:network.headerLen+8])
		}

		tcp := ip4(6, 0, nil, tcp(1, 2, pattern(99)...))
		whole := bytes.Clone(tcp)
		mustComplete(t, whole)
		if err := completeSegments(tcp); err != nil || !bytes.Equal(tcp, whole) {
			t.Errorf("TCP: %v", err)
		}
	}
}
