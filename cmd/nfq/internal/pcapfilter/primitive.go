// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// direction says which end of a packet is meant.
type direction uint8

const (
	either direction = iota
	source
	destination
	bothEnds
)

// of combines what is found at the two ends.
func (d direction) of(src, dst pred) pred {
	switch d {
	case source:
		return src
	case destination:
		return dst
	case bothEnds:
		return and(src, dst)
	}
	return or(src, dst)
}

// qualifiers stand before an id.
type qualifiers struct {
	proto string // of abbreviations, "" for any
	dir   direction
	typ   string // host, net, port, portrange or proto, "" if not given
}

// primitive reads one: qualifiers, an id, or a word that stands for itself.
func (p *parser) primitive() (pred, error) {
	t := p.peek()
	switch {
	case !t.word:
		return nil, p.error(t, "expected what packets have to be, such as host ADDRESS, net PREFIX, port NUMBER or tcp")
	case t.text == "less" || t.text == "greater":
		return p.length()
	case t.text == "inbound" || t.text == "outbound":
		return nil, p.error(t, "which way packets go is what the hook of the rule says")
	case linkWords[t.text]:
		return nil, p.error(t, "packets have no link layer here; a filter is about IP and what is above")
	}
	var q qualifiers
	start := p.next
	if _, ok := abbreviations[t.text]; ok {
		q.proto = p.take().text
		if p.accept("multicast") {
			return p.multicast(t)
		}
	}
	if err := p.direction(&q); err != nil {
		return nil, err
	}
	switch p.peek().text {
	case "host", "net", "port", "portrange", "proto":
		q.typ = p.take().text
	case "protochain":
		return nil, p.error(p.peek(), "headers are not chased; use proto")
	}
	if p.next == start { // an id by itself, with the qualifiers of the one before
		if p.any {
			q = p.last
		}
		return p.id(q)
	}
	if q.proto != "" && q.dir == either && q.typ == "" && p.next == start+1 && !p.startsID() {
		return abbreviations[q.proto], nil
	}
	p.last, p.any = q, true
	return p.idOrList(q)
}

// direction reads src, dst, "src or dst" and so on.
func (p *parser) direction(q *qualifiers) error {
	other := map[string]string{"src": "dst", "dst": "src"}
	first := p.peek().text
	if other[first] == "" {
		return nil
	}
	p.next++
	q.dir = source
	if first == "dst" {
		q.dir = destination
	}
	if p.at(p.next+1).text != other[first] {
		return nil
	}
	switch {
	case p.accept("or", "||"):
		q.dir = either
	case p.accept("and", "&&"):
		q.dir = bothEnds
	default:
		return nil
	}
	p.next++
	return nil
}

// startsID reports whether an id, or a list of them, comes.
func (p *parser) startsID() bool {
	t := p.peek()
	return t.word && t.text != "and" && t.text != "or" && t.text != "not"
}

// ids reads what is in the parentheses of "port (80 or 443)".
func (p *parser) ids(q qualifiers) (pred, error) {
	return p.chain(func() (pred, error) { return p.idTerm(q) })
}

func (p *parser) idTerm(q qualifiers) (pred, error) {
	if p.accept("not", "!") {
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		inner, err := p.idTerm(q)
		if err != nil {
			return nil, err
		}
		return not(inner), nil
	}
	return p.idOrList(q)
}

// idOrList reads an id, or several in parentheses.
func (p *parser) idOrList(q qualifiers) (pred, error) {
	if p.accept("(") {
		inner, err := p.ids(q)
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	}
	return p.id(q)
}

// id reads the value of a primitive.
func (p *parser) id(q qualifiers) (pred, error) {
	t := p.take()
	if !t.word || t.text == "and" || t.text == "or" || t.text == "not" {
		return nil, p.error(t, "expected %s", expected[q.typ])
	}
	switch q.typ {
	case "port", "portrange":
		return p.ports(q, t)
	case "proto":
		return p.protocol(q, t)
	}
	if q.proto != "" && q.proto != "ip" && q.proto != "ip6" {
		return nil, p.error(t, "%q does not go with an address; write \"%[1]s and host ...\"", q.proto)
	}
	if q.typ == "net" {
		return p.net(q, t)
	}
	return p.host(q, t)
}

var expected = map[string]string{
	"": "an address, or host, net, port, portrange, proto", "host": "an address", "net": "a prefix such as 192.0.2.0/24",
	"port": "a port", "portrange": "ports such as 1-1023", "proto": "a protocol",
}

func (p *parser) host(q qualifiers, t token) (pred, error) {
	a, err := netip.ParseAddr(t.text)
	if err != nil || a.Zone() != "" {
		if q.typ == "" && isNumber(t.text) {
			return nil, p.error(t, "expected host, net, port, portrange or proto before a number")
		}
		return nil, p.error(t, "expected an address; names are not looked up")
	}
	return p.prefix(q, t, netip.PrefixFrom(a, a.BitLen()))
}

// net reads a prefix: 192.0.2.0/24, 192.0.2, 192.0.2.0 mask 255.255.255.0, 2001:db8::/32.
func (p *parser) net(q qualifiers, t token) (pred, error) {
	address, length, hasLength := strings.Cut(t.text, "/")
	bits := 0
	if octets := strings.Count(address, ".") + 1; octets < 4 && !strings.Contains(address, ":") {
		bits = 8 * octets
		address += strings.Repeat(".0", 4-octets)
	}
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return nil, p.error(t, "expected a prefix such as 192.0.2.0/24 or 2001:db8::/32; names are not looked up")
	}
	if bits == 0 {
		bits = a.BitLen()
	}
	if hasLength {
		if bits, err = strconv.Atoi(length); err != nil || bits < 0 || bits > a.BitLen() {
			return nil, p.error(t, "expected at most %d bits behind the /", a.BitLen())
		}
	} else if p.accept("mask") {
		m := p.take()
		mask, err := netip.ParseAddr(m.text)
		if err != nil || !mask.Is4() || !a.Is4() {
			return nil, p.error(m, "expected a mask such as 255.255.255.0, for an IPv4 address")
		}
		ones, size := net.IPMask(mask.AsSlice()).Size()
		if size == 0 {
			return nil, p.error(m, "expected a mask of ones followed by zeros")
		}
		bits = ones
	}
	prefix := netip.PrefixFrom(a, bits)
	if prefix.Masked() != prefix {
		return nil, p.error(t, "there are bits set behind the prefix; write %v", prefix.Masked())
	}
	return p.prefix(q, t, prefix)
}

func (p *parser) prefix(q qualifiers, t token, prefix netip.Prefix) (pred, error) {
	a := prefix.Addr()
	if a.Is4() && q.proto == "ip6" || !a.Is4() && q.proto == "ip" {
		return nil, p.error(t, "this is not an address of %s", q.proto)
	}
	if a.Is4() {
		return and(ip4, q.dir.of(prefixAt(ip4Src, prefix), prefixAt(ip4Dst, prefix))), nil
	}
	return and(ip6, q.dir.of(prefixAt(ip6Src, prefix), prefixAt(ip6Dst, prefix))), nil
}

// ports reads a port or a range of them.
func (p *parser) ports(q qualifiers, t token) (pred, error) {
	numbers := []byte{protoTCP, protoUDP, protoSCTP}
	network := "ip"
	switch q.proto {
	case "":
	case "tcp":
		numbers, network = numbers[:1], "tcp"
	case "udp":
		numbers, network = numbers[1:2], "udp"
	case "sctp":
		numbers = numbers[2:]
	default:
		return nil, p.error(t, "%q does not go with %s; only tcp, udp and sctp do", q.proto, q.typ)
	}
	low, high := t.text, t.text
	if q.typ == "portrange" {
		if l, h, ok := strings.Cut(t.text, "-"); ok {
			low, high = l, h
		}
	}
	a, ok1 := portNumber(network, low)
	b, ok2 := portNumber(network, high)
	if !ok1 || !ok2 {
		return nil, p.error(t, "expected %s, from 0 to 65535 or a name in /etc/services", expected[q.typ])
	}
	if a > b {
		a, b = b, a
	}
	any4, any6 := constant(no), constant(no)
	for _, n := range numbers {
		any4, any6 = or(any4, byteIs(ip4Protocol, n)), or(any6, byteIs(ip6Next, n))
	}
	return or(
		and(and(ip4, any4), and(notLater, portsAt(headerLen4, q.dir, a, b))),
		and(and(ip6, any6), portsAt(literal(ip6Len), q.dir, a, b)),
	), nil
}

func portNumber(network, text string) (uint16, bool) {
	if n, err := strconv.ParseUint(text, 0, 16); err == nil {
		return uint16(n), true
	}
	if isNumber(text) || text == "" {
		return 0, false
	}
	n, err := net.LookupPort(network, text)
	return uint16(n), err == nil
}

// protocol reads the number or name of one.
func (p *parser) protocol(q qualifiers, t token) (pred, error) {
	if q.dir != either {
		return nil, p.error(t, "a protocol has no src or dst")
	}
	number, ok := protocolNumbers[strings.TrimPrefix(t.text, `\`)]
	if !ok {
		n, err := strconv.ParseUint(t.text, 0, 8)
		if err != nil {
			return nil, p.error(t, "expected a number from 0 to 255, or a protocol such as tcp or icmp6")
		}
		number = byte(n)
	}
	switch q.proto {
	case "":
		return both(number), nil
	case "ip":
		return protocol4(number), nil
	case "ip6":
		return protocol6(number), nil
	}
	return nil, p.error(t, "%q does not go with proto; only ip and ip6 do", q.proto)
}

// multicast reads "ip multicast" and "ip6 multicast".
func (p *parser) multicast(proto token) (pred, error) {
	switch proto.text {
	case "ip":
		return and(ip4, atLeast(ip4Dst, 224)), nil
	case "ip6":
		return and(ip6, atLeast(ip6Dst, 255)), nil
	}
	return nil, p.error(proto, "only ip and ip6 go with multicast")
}

// length reads "less N" and "greater N", which include N.
func (p *parser) length() (pred, error) {
	word, t := p.take(), p.take()
	n, err := strconv.ParseUint(t.text, 0, 32)
	if err != nil {
		return nil, p.error(t, "expected a length in bytes")
	}
	limit := uint32(n)
	if word.text == "less" {
		return func(_ []byte, length uint32) result { return is(length <= limit) }, nil
	}
	return func(_ []byte, length uint32) result { return is(length >= limit) }, nil
}
