// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

// Offsets in the headers of IPv4 (RFC 791), IPv6 (RFC 8200) and ARP with Ethernet and IPv4
// addresses (RFC 826).
const (
	ip4Fragment, ip4Protocol, ip4Src, ip4Dst = 6, 9, 12, 16
	ip6Next, ip6Src, ip6Dst, ip6Len          = 6, 8, 24, 40
	arpSrc, arpDst                           = 14, 24
)

// Protocols of IP.
const (
	protoICMP, protoIGMP, protoTCP, protoIGRP, protoUDP = 1, 2, 6, 9, 17
	protoFragment, protoESP, protoAH, protoICMP6        = 44, 50, 51, 58
	protoPIM, protoVRRP, protoSCTP                      = 103, 112, 132

	protoAny = 255 // stands for TCP, UDP and SCTP
)

// Protocols of the link layer, ETH_P_*.
const etherIP4, etherIP6, etherARP, etherRARP = 0x0800, 0x86dd, 0x0806, 0x8035

var (
	ip4, ip6  = linkProtocol(etherIP4), linkProtocol(etherIP6)
	arp, rarp = linkProtocol(etherARP), linkProtocol(etherRARP)
)

// linkProtocol matches what the link layer says that the packet is. If it says nothing, the packet
// is IP.
func linkProtocol(want uint16) pred {
	var version byte
	switch want {
	case etherIP4:
		version = 4
	case etherIP6:
		version = 6
	}
	return func(p Packet) result {
		switch {
		case p.EtherType != 0:
			return is(p.EtherType == want)
		case version == 0:
			return no
		case len(p.Data) == 0:
			return reject
		}
		return is(p.Data[0]>>4 == version)
	}
}

// byteIs matches a byte.
func byteIs(at uint32, want byte) pred {
	return func(p Packet) result {
		got, r := load(p.Data, at, 1)
		if r != yes {
			return r
		}
		return is(byte(got) == want)
	}
}

// atLeast matches a byte of this value or a higher one.
func atLeast(at uint32, lowest byte) pred {
	return func(p Packet) result {
		got, r := load(p.Data, at, 1)
		if r != yes {
			return r
		}
		return is(byte(got) >= lowest)
	}
}

// wordIs matches the bits of a 32-bit word that the mask has.
func wordIs(at, want, mask uint32) pred {
	return func(p Packet) result {
		got, r := load(p.Data, at, 4)
		if r != yes {
			return r
		}
		return is((got^want)&mask == 0)
	}
}

func protocol4(n byte) pred { return and(ip4, byteIs(ip4Protocol, n)) }

// protocol6 looks behind a fragment header, as libpcap does, and behind no other extension header.
func protocol6(n byte) pred {
	return and(ip6, or(byteIs(ip6Next, n), and(byteIs(ip6Next, protoFragment), byteIs(ip6Len, n))))
}

func protocol(n byte) pred { return or(protocol4(n), protocol6(n)) }

// portsAt matches ports of the transport header, which starts where start says.
func portsAt(start compute, dir direction, low, high uint16) pred {
	port := func(offset uint32) pred {
		return func(p Packet) result {
			at, r := start(p)
			if r != yes {
				return r
			}
			got, r := load(p.Data, at+offset, 2)
			if r != yes {
				return r
			}
			return is(low <= uint16(got) && uint16(got) <= high)
		}
	}
	return dir.of(port(0), port(2))
}

// notLater matches IPv4 packets that are not a later fragment: they have a transport header.
func notLater(p Packet) result {
	fragment, r := load(p.Data, ip4Fragment, 2)
	if r != yes {
		return r
	}
	return is(fragment&0x1fff == 0)
}

// headerLen4 returns the length of the IPv4 header.
func headerLen4(p Packet) (uint32, result) {
	first, r := load(p.Data, 0, 1)
	return first & 0xf * 4, r
}

// header says which packets have one, and where it starts.
type header struct {
	// check returns what packets have to be, with the check that the offset of the bytes brings, or
	// nil.
	check func(offset pred) pred
	start compute
	// fixed says that the start does not depend on the packet. Otherwise libpcap's program adds it
	// to the offset with 32 bits, so that tcp[0 - 1] is the byte before the TCP header.
	fixed bool
}

// headers are those whose bytes can be had.
var headers = map[string]header{
	"ip": network(ip4), "ip6": network(ip6), "arp": network(arp), "rarp": network(rarp),
	"icmp6": {
		func(offset pred) pred { return both(offset, and(ip6, byteIs(ip6Next, protoICMP6))) },
		literal(ip6Len), true,
	},
	"tcp": transport("tcp"), "udp": transport("udp"), "sctp": transport("sctp"),
	"icmp": transport("icmp"), "igmp": transport("igmp"), "igrp": transport("igrp"),
	"pim": transport("pim"), "vrrp": transport("vrrp"), "carp": transport("carp"),
}

func network(check pred) header {
	return header{func(offset pred) pred { return both(offset, check) }, literal(0), true}
}

func transport(protocol string) header {
	return header{func(offset pred) pred {
		return and(ip4, both(offset, and(abbreviations[protocol], notLater)))
	}, headerLen4, false}
}
