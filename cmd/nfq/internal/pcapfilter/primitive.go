// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

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

// qualifiers are the words before an id.
type qualifiers struct {
	proto string // of abbreviations, "" for any
	dir   direction
	typ   string // host, net, port, portrange or proto, "" if not given
}

// undefined are the qualifiers of an id that has none, nor has what is before it.
var undefined = qualifiers{typ: "?"}

// wanted says what an id with these qualifiers is.
func (q qualifiers) wanted() string {
	switch q.typ {
	case "host":
		return "an address or the name of a host"
	case "net":
		return "a prefix such as 192.0.2.0/24"
	case "port":
		return "a port"
	case "portrange":
		return "ports such as 1-1023"
	case "proto":
		return "a protocol"
	case undefined.typ:
		return "what packets have to be, such as host ADDRESS, net PREFIX, port NUMBER or tcp"
	}
	return "host, net, port, portrange or an address"
}

// abbreviations are the protocols that are a condition of their own.
var abbreviations = map[string]pred{
	"ip": ip4, "ip6": ip6, "arp": arp, "rarp": rarp,
	"tcp": protocol(protoTCP), "udp": protocol(protoUDP), "sctp": protocol(protoSCTP),
	"icmp": protocol4(protoICMP), "icmp6": protocol6(protoICMP6),
	"igmp": protocol4(protoIGMP), "igrp": protocol4(protoIGRP), "pim": protocol(protoPIM),
	"vrrp": protocol4(protoVRRP), "carp": protocol4(protoVRRP),
	"ah": protocol(protoAH), "esp": protocol(protoESP),
}

// primitive reads a condition that starts with a keyword: qualifiers and an id, or words that stand
// for themselves.
func (p *parser) primitive() (node, error) {
	t := p.peek()
	if t.kind != tokenKeyword {
		return node{}, p.error(t, "expected %s", undefined.wanted())
	}
	if why := notHere[t.text]; why != "" {
		return node{}, p.error(t, "%s", why)
	}
	var condition pred
	var err error
	switch t.text {
	case "less", "greater":
		condition, err = p.length()
	case "byte":
		condition, err = p.byte()
	case "inbound", "outbound":
		p.next++
		outbound := t.text == "outbound"
		condition = func(p Packet) result { return is(p.Outbound == outbound) }
	default:
		return p.qualified()
	}
	return node{kind: aTerm, pred: condition, q: undefined}, err
}

// qualified reads qualifiers and an id, or a protocol, which may have "broadcast" or "multicast"
// behind it.
func (p *parser) qualified() (node, error) {
	var q qualifiers
	start := p.next
	first := p.peek()
	if abbreviations[first.text] != nil {
		q.proto = p.take().text
	}
	switch t := p.peek(); {
	case t.kind == tokenKeyword && (t.text == "multicast" || t.text == "broadcast"):
		p.next++
		condition, err := p.cast(t, q.proto)
		return node{kind: aTerm, pred: condition, q: undefined}, err
	case p.accept("proto"):
		q.typ = "proto"
	case t.kind == tokenKeyword && notHere[t.text] != "":
		return node{}, p.error(t, "%s", notHere[t.text])
	default:
		p.direction(&q)
		for _, typ := range []string{"host", "net", "port", "portrange"} {
			if p.accept(typ) {
				q.typ = typ
				break
			}
		}
	}
	switch p.next {
	case start:
		return node{}, p.error(first, "expected %s", undefined.wanted())
	case start + 1:
		if q.proto != "" {
			return node{kind: aTerm, pred: abbreviations[q.proto], q: undefined}, nil
		}
	}
	t := p.peek()
	switch t.kind {
	case tokenEnd:
		return node{}, p.error(t, "expected %s", q.wanted())
	case tokenKeyword:
		return node{}, p.error(t, "expected %s; if this is a name, write \\%s", q.wanted(), t.text)
	}
	if q.typ == "net" && t.kind == tokenNumber && p.operator(p.next+1) == "/" {
		return node{}, p.error(t, "write a prefix with dots, such as 10.0.0.0/8")
	}
	id, err := p.part(q)
	if err == nil {
		id, err = p.condition(id, q)
	}
	if err == nil && id.kind == aTerm {
		err = p.error(t, "expected %s", q.wanted())
	}
	return node{kind: aTerm, pred: id.pred, q: q}, err
}

// direction reads src, dst, "src or dst" and so on.
func (p *parser) direction(q *qualifiers) {
	var other string
	switch {
	case p.accept("src"):
		q.dir, other = source, "dst"
	case p.accept("dst"):
		q.dir, other = destination, "src"
	default:
		return
	}
	joined := bothEnds
	switch p.operator(p.next) {
	case "and":
	case "or":
		joined = either
	default:
		return
	}
	if t := p.at(p.next + 1); t.kind == tokenKeyword && t.text == other {
		q.dir = joined
		p.next += 2
	}
}

// cast makes "ip multicast" and "ip6 multicast".
func (p *parser) cast(t token, proto string) (pred, error) {
	switch {
	case t.text == "broadcast" && proto == "ip":
		return nil, p.error(t, "the netmask is not known; write dst host and the address")
	case t.text == "multicast" && proto == "ip":
		return and(ip4, atLeast(ip4Dst, 224)), nil
	case t.text == "multicast" && proto == "ip6":
		return and(ip6, byteIs(ip6Dst, 255)), nil
	}
	return nil, p.error(t, "packets have no link layer here; write ip multicast or ip6 multicast")
}

// length reads "less N" and "greater N", which include N.
func (p *parser) length() (pred, error) {
	word, t := p.take(), p.take()
	if t.kind != tokenNumber {
		return nil, p.error(t, "expected a length in bytes")
	}
	if word.text == "less" {
		return func(p Packet) result { return is(uint32(p.Length) <= t.value) }, nil
	}
	return func(p Packet) result { return is(uint32(p.Length) >= t.value) }, nil
}

// byte reads "byte OFFSET = VALUE".
func (p *parser) byte() (pred, error) {
	p.next++
	offset, operator, want := p.take(), p.take(), p.take()
	for _, t := range []token{offset, want} {
		if t.kind != tokenNumber {
			return nil, p.error(t, "expected a number")
		}
	}
	if operator.text != "=" && operator.text != "<" && operator.text != ">" {
		return nil, p.error(operator, "expected = < or >; for others write ip[0] & 1 != 0")
	}
	holds := comparisons[operator.text]
	return func(p Packet) result {
		got, r := load(p.Data, offset.value, 1)
		if r != yes {
			return r
		}
		return is(holds(got, want.value))
	}, nil
}
