// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// id reads the rest of the id that starts with t, and makes the condition of it and its qualifiers.
func (p *parser) id(q qualifiers, t token) (pred, error) {
	if q == undefined {
		return nil, p.error(t, "%s", instead(t, undefined.wanted()))
	}
	switch t.kind {
	case tokenNumber:
		return p.number(q, t)
	case tokenQuad:
		return p.address4(q, t)
	case tokenIP6:
		return p.address6(q, t)
	case tokenMAC:
		return nil, p.error(t, "packets have no link-layer addresses here")
	}
	switch q.typ {
	case "net":
		return nil, p.error(t, "expected %s; names of networks are not looked up", q.wanted())
	case "port", "portrange":
		return p.portNames(q, t)
	case "proto":
		n, ok := p.names.protocol(t.text)
		if !ok {
			return nil, p.error(t, "/etc/protocols has no such protocol; use its number")
		}
		return p.protocol(q, t, uint32(n))
	}
	return p.hostName(q, t)
}

// number makes the condition of an id that is a number.
func (p *parser) number(q qualifiers, t token) (pred, error) {
	switch q.typ {
	case "port", "portrange":
		if t.value > 65535 {
			return nil, p.error(t, "a port is 65535 at most")
		}
		return p.ports(q, t, protoAny, uint16(t.value), uint16(t.value))
	case "proto":
		return p.protocol(q, t, t.value)
	case "net":
		// net 10 is 10.0.0.0/8, and net 0xc00002 is 192.0.2.0/24.
		zeros := bits.LeadingZeros32(t.value) &^ 7
		if t.value == 0 {
			zeros = 0
		}
		return p.host4(q, t, t.value<<zeros, ^uint32(0)<<zeros)
	}
	return p.host4(q, t, t.value, ^uint32(0))
}

// address4 makes the condition of an id that is an IPv4 address, maybe without its last octets.
func (p *parser) address4(q qualifiers, t token) (pred, error) {
	address, mask, ok := octets(t.text)
	if !ok {
		return nil, p.error(t, "the octets of an address are 255 at most")
	}
	var hasMask bool
	last := t
	switch {
	case p.accept("/"):
		last = p.take()
		if last.kind != tokenNumber || last.value > 32 {
			return nil, p.error(last, "expected the length of a prefix, 32 at most")
		}
		mask, hasMask = ^uint32(0)<<(32-last.value), true
	case p.accept("mask"):
		last = p.take()
		if mask, _, ok = octets(last.text); last.kind != tokenQuad || !ok {
			return nil, p.error(last, "expected a mask such as 255.255.255.0")
		}
		hasMask = true
	}
	switch {
	case q.typ == "port" || q.typ == "portrange" || q.typ == "proto":
		return nil, p.error(t, "expected %s", q.wanted())
	case hasMask && q.typ != "net":
		return nil, p.error(t, "write net before a prefix")
	case address&^mask != 0:
		return nil, p.error(t, "the address has bits set that are not in %s; write %v",
			last.text, netip.AddrFrom4(be32(address&mask)))
	}
	return p.host4(q, t, address, mask)
}

// octets reads one to four decimal numbers with dots between them. The mask has those that there
// are.
func octets(text string) (address, mask uint32, ok bool) {
	shift := 32
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 8)
		if shift -= 8; err != nil || shift < 0 {
			return 0, 0, false
		}
		address |= uint32(n) << shift
	}
	return address, ^uint32(0) << shift, true
}

func be32(n uint32) (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], n)
	return b
}

// address6 makes the condition of an id that is an IPv6 address.
func (p *parser) address6(q qualifiers, t token) (pred, error) {
	prefix := netip.PrefixFrom(netip.MustParseAddr(t.text), 128)
	if p.accept("/") {
		length := p.take()
		if length.kind != tokenNumber || length.value > 128 {
			return nil, p.error(length, "expected the length of a prefix, 128 at most")
		}
		prefix = netip.PrefixFrom(prefix.Addr(), int(length.value))
	}
	switch {
	case q.typ == "port" || q.typ == "portrange" || q.typ == "proto":
		return nil, p.error(t, "expected %s", q.wanted())
	case prefix.Bits() != 128 && q.typ != "net":
		return nil, p.error(t, "write net before a prefix")
	case prefix.Masked() != prefix:
		return nil, p.error(t, "the address has bits set that are not in /%d; write %v",
			prefix.Bits(), prefix.Masked())
	}
	return p.host6(q, t, prefix)
}

// hostName makes the condition of all addresses that a name has.
func (p *parser) hostName(q qualifiers, t token) (pred, error) {
	if err := p.checkHost(q, t, "ip", "ip6", "arp", "rarp"); err != nil {
		return nil, err
	}
	addresses, err := p.names.hosts(t.text)
	if err != nil {
		return nil, p.error(t, "this is no address, and no host has this name: %v", err)
	}
	var any pred
	for _, a := range addresses {
		a = a.Unmap().WithZone("")
		var one pred
		switch {
		case a.Is4() && q.proto != "ip6":
			one, err = p.host4(q, t, binary.BigEndian.Uint32(a.AsSlice()), ^uint32(0))
		case a.Is6() && (q.proto == "" || q.proto == "ip6"):
			one, err = p.host6(q, t, netip.PrefixFrom(a, 128))
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if any != nil {
			one = or(any, one)
		}
		any = one
	}
	if any == nil {
		return nil, p.error(t, "the host has no address of %s", q.proto)
	}
	return any, nil
}

// checkHost refuses an address if the protocol before it has no addresses.
func (p *parser) checkHost(q qualifiers, t token, protocols ...string) error {
	if q.proto == "" {
		return nil
	}
	for _, proto := range protocols {
		if q.proto == proto {
			return nil
		}
	}
	if q.proto == "ip" || q.proto == "ip6" {
		return p.error(t, "this is no address of %s", q.proto)
	}
	return p.error(t, "%s has no such address; write \"%[1]s and host ...\"", q.proto)
}

func (p *parser) host4(q qualifiers, t token, address, mask uint32) (pred, error) {
	if err := p.checkHost(q, t, "ip", "arp", "rarp"); err != nil {
		return nil, err
	}
	at := func(check pred, src, dst uint32) pred {
		return and(check, q.dir.of(wordIs(src, address, mask), wordIs(dst, address, mask)))
	}
	switch q.proto {
	case "ip":
		return at(ip4, ip4Src, ip4Dst), nil
	case "arp":
		return at(arp, arpSrc, arpDst), nil
	case "rarp":
		return at(rarp, arpSrc, arpDst), nil
	}
	return or(at(ip4, ip4Src, ip4Dst), or(at(arp, arpSrc, arpDst), at(rarp, arpSrc, arpDst))), nil
}

func (p *parser) host6(q qualifiers, t token, prefix netip.Prefix) (pred, error) {
	if err := p.checkHost(q, t, "ip6"); err != nil {
		return nil, err
	}
	address := prefix.Addr().AsSlice()
	at := func(start uint32) pred {
		match := constant(yes)
		for i := 0; i < len(address); i += 4 {
			mask := ^uint32(0) << max(0, 32-max(0, prefix.Bits()-8*i))
			match = and(match, wordIs(start+uint32(i), binary.BigEndian.Uint32(address[i:]), mask))
		}
		return match
	}
	return and(ip6, q.dir.of(at(ip6Src), at(ip6Dst))), nil
}

// portNames makes the condition of a service, or of a range of ports with numbers or services at
// its ends.
func (p *parser) portNames(q qualifiers, t token) (pred, error) {
	low, high := t.text, t.text
	if q.typ == "portrange" {
		var isRange bool
		if low, high, isRange = strings.Cut(t.text, "-"); !isRange {
			return nil, p.error(t, "expected %s", q.wanted())
		}
	}
	a, protocol, ok1 := p.names.service(low)
	b, other, ok2 := p.names.service(high)
	if !ok1 || !ok2 {
		return nil, p.error(t, "expected %s, up to 65535 or a name in /etc/services", q.wanted())
	}
	if other != protocol {
		protocol = protoAny
	}
	return p.ports(q, t, protocol, min(a, b), max(a, b))
}

// ports makes the condition of ports. A service has them in the protocol, or in any.
func (p *parser) ports(q qualifiers, t token, protocol uint8, low, high uint16) (pred, error) {
	wanted, ok := map[string]uint8{
		"": protocol, "tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP,
	}[q.proto]
	switch {
	case !ok:
		return nil, p.error(t, "%s has no ports; tcp, udp and sctp have", q.proto)
	case protocol != protoAny && protocol != wanted:
		return nil, p.error(t, "/etc/services has this name for another protocol than %s", q.proto)
	}
	protocol = wanted
	any4, any6 := byteIs(ip4Protocol, protocol), byteIs(ip6Next, protocol)
	if protocol == protoAny {
		any4, any6 = constant(no), constant(no)
		for _, n := range []byte{protoTCP, protoUDP, protoSCTP} {
			any4, any6 = or(any4, byteIs(ip4Protocol, n)), or(any6, byteIs(ip6Next, n))
		}
	}
	return or(and(and(ip6, any6), portsAt(literal(ip6Len), q.dir, low, high)),
		and(and(ip4, any4), and(notLater, portsAt(headerLen4, q.dir, low, high)))), nil
}

// protocol makes the condition of a protocol of IP.
func (p *parser) protocol(q qualifiers, t token, n uint32) (pred, error) {
	if n > 255 {
		return nil, p.error(t, "a protocol is 255 at most")
	}
	switch q.proto {
	case "":
		return protocol(byte(n)), nil
	case "ip":
		return protocol4(byte(n)), nil
	case "ip6":
		return protocol6(byte(n)), nil
	}
	return nil, p.error(t, "only ip and ip6 can stand before proto")
}
