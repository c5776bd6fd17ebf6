// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"encoding/binary"
	"net/netip"
)

// Offsets in the IP headers (RFC 791, RFC 8200).
const (
	ip4Fragment, ip4Protocol, ip4Src, ip4Dst = 6, 9, 12, 16
	ip6Next, ip6Src, ip6Dst, ip6Len          = 6, 8, 24, 40
)

const (
	protoTCP, protoUDP, protoSCTP = 6, 17, 132
	protoICMP, protoICMP6         = 1, 58
	protoFragment                 = 44
)

// version matches IPv4 or IPv6.
func version(v byte) pred {
	return func(b []byte, _ uint32) result {
		if len(b) == 0 {
			return tooShort
		}
		return is(b[0]>>4 == v)
	}
}

var ip4, ip6 = version(4), version(6)

// byteIs matches a byte.
func byteIs(at uint32, want byte) pred {
	return func(b []byte, _ uint32) result {
		got, r := load(b, at, 1)
		if r != yes {
			return r
		}
		return is(byte(got) == want)
	}
}

// atLeast matches a byte of this value or a higher one.
func atLeast(at uint32, lowest byte) pred {
	return func(b []byte, _ uint32) result {
		got, r := load(b, at, 1)
		if r != yes {
			return r
		}
		return is(byte(got) >= lowest)
	}
}

func protocol4(n byte) pred { return and(ip4, byteIs(ip4Protocol, n)) }

// protocol6 looks behind a fragment header, as libpcap does, and no other extension header.
func protocol6(n byte) pred {
	return and(ip6, or(byteIs(ip6Next, n), and(byteIs(ip6Next, protoFragment), byteIs(ip6Len, n))))
}

// prefixAt matches an address in the header, by words of 32 bits.
func prefixAt(at uint32, p netip.Prefix) pred {
	match := constant(yes)
	address := p.Addr().AsSlice()
	for i := 0; i < len(address); i += 4 {
		want := binary.BigEndian.Uint32(address[i:])
		mask := ^uint32(0) << max(0, 32-max(0, p.Bits()-8*i))
		match = and(match, func(b []byte, _ uint32) result {
			got, r := load(b, at+uint32(i), 4)
			if r != yes {
				return r
			}
			return is((got^want)&mask == 0)
		})
	}
	return match
}

// portsAt matches ports of the transport header, which starts where start says.
func portsAt(start number, dir direction, low, high uint16) pred {
	port := func(offset uint32) pred {
		return func(b []byte, n uint32) result {
			at, r := start(b, n)
			if r != yes {
				return r
			}
			got, r := load(b, at+offset, 2)
			if r != yes {
				return r
			}
			return is(low <= uint16(got) && uint16(got) <= high)
		}
	}
	return dir.of(port(0), port(2))
}

// notLater matches IPv4 packets that are not a later fragment: they have a transport header.
func notLater(b []byte, _ uint32) result {
	fragment, r := load(b, ip4Fragment, 2)
	if r != yes {
		return r
	}
	return is(fragment&0x1fff == 0)
}

// headerLen4 returns the length of the IPv4 header.
func headerLen4(b []byte, _ uint32) (uint32, result) {
	first, r := load(b, 0, 1)
	return first & 0xf * 4, r
}

// header says which packets have one, and where it starts.
type header struct {
	check pred
	start number
}

// headers are those whose bytes can be had.
var headers = map[string]header{
	"ip":    {ip4, literal(0)},
	"ip6":   {ip6, literal(0)},
	"icmp6": {and(ip6, byteIs(ip6Next, protoICMP6)), literal(ip6Len)},
}

func init() {
	for name, number := range map[string]byte{
		"tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP, "icmp": protoICMP, "igmp": 2, "pim": 103, "ah": 51, "esp": 50, "vrrp": 112,
	} {
		headers[name] = header{and(protocol4(number), notLater), headerLen4}
	}
}
