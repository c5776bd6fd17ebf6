// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Build makes a packet of layers, from the outermost on, with the lengths and
// checksums that they ought to have. It panics if that cannot be done.
func Build(stack ...gopacket.SerializableLayer) []byte {
	var network gopacket.NetworkLayer
	for _, l := range stack {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok && network != nil {
			must(c.SetNetworkLayerForChecksum(network))
		}
		if n, ok := l.(gopacket.NetworkLayer); ok {
			network = n
		}
	}
	b := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...))
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("nfqueuetest: build a packet: %v", err))
	}
}

// UDP makes a UDP packet of the family of the addresses, which must be of one.
func UDP(src, dst netip.AddrPort, body []byte) []byte {
	return udp(src, dst, gopacket.Payload(body))
}

func udp(src, dst netip.AddrPort, body gopacket.SerializableLayer) []byte {
	return Build(ip(src.Addr(), dst.Addr(), layers.IPProtocolUDP),
		&layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}, body)
}

// TCP makes a TCP segment of the family of the addresses, which must be of one. The
// header is as given, but for ports and checksum, and for a window of 0, which
// becomes 65535.
func TCP(src, dst netip.AddrPort, header layers.TCP, body []byte) []byte {
	header.SrcPort, header.DstPort = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port())
	if header.Window == 0 {
		header.Window = 65535
	}
	return Build(ip(src.Addr(), dst.Addr(), layers.IPProtocolTCP), &header, gopacket.Payload(body))
}

// Echo makes an ICMP or ICMPv6 echo request, by the family of the addresses, which must
// be of one.
func Echo(src, dst netip.Addr, id, seq uint16, body []byte) []byte {
	if src.Is4() {
		return Build(ip(src, dst, layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id, Seq: seq},
			gopacket.Payload(body))
	}
	return Build(ip(src, dst, layers.IPProtocolICMPv6),
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)},
		&layers.ICMPv6Echo{Identifier: id, SeqNumber: seq},
		gopacket.Payload(body))
}

// ip makes an IP header.
func ip(src, dst netip.Addr, next layers.IPProtocol) gopacket.SerializableLayer {
	if src.Is4() != dst.Is4() || src.Is4In6() || dst.Is4In6() {
		panic(fmt.Sprintf("nfqueuetest: build a packet: %v and %v are not of one family", src, dst))
	}
	if src.Is4() {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: next, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}
