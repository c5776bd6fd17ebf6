// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import "encoding/binary"

// compute returns a number of 32 bits. The result is yes or reject.
type compute func(Packet) (uint32, result)

// value is an operand.
type value struct {
	// check says which packets have the protocols that compute reads. It is nil if it reads none.
	check pred
	compute
	literal bool // whether the value is a number in the filter
}

var comparisons = map[string]func(a, b uint32) bool{
	"=":  func(a, b uint32) bool { return a == b },
	"!=": func(a, b uint32) bool { return a != b },
	"<":  func(a, b uint32) bool { return a < b },
	">":  func(a, b uint32) bool { return a > b },
	"<=": func(a, b uint32) bool { return a <= b },
	">=": func(a, b uint32) bool { return a >= b },
}

// precedence of the operators, which bind from left to right. greedy ones have all operators to
// their right in their right operand, whatever is to their left: libpcap's grammar gives them no
// precedence.
var precedence = map[string]int{
	"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": greedy, "^": greedy,
}

const (
	unary  = 6 // of the minus before an operand
	greedy = 7
)

var operations = map[string]func(a, b uint32) uint32{
	"|":  func(a, b uint32) uint32 { return a | b },
	"^":  func(a, b uint32) uint32 { return a ^ b },
	"&":  func(a, b uint32) uint32 { return a & b },
	"<<": func(a, b uint32) uint32 { return a << b },
	">>": func(a, b uint32) uint32 { return a >> b },
	"+":  func(a, b uint32) uint32 { return a + b },
	"-":  func(a, b uint32) uint32 { return a - b },
	"*":  func(a, b uint32) uint32 { return a * b },
	"/":  func(a, b uint32) uint32 { return a / b },
	"%":  func(a, b uint32) uint32 { return a % b },
}

// relation reads what follows an operand: nothing, or operators, or a comparison.
func (p *parser) relation(left node) (node, error) {
	left, err := p.operators(left, 0)
	if err != nil {
		return node{}, err
	}
	holds := comparisons[p.operator(p.next)]
	if holds == nil {
		return left, nil
	}
	p.next++
	right, err := p.arithmetic(0)
	if err != nil {
		return node{}, err
	}
	x, y := left.compute, right.compute
	compared := func(p Packet) result {
		a, r := x(p)
		if r != yes {
			return r
		}
		b, r := y(p)
		if r != yes {
			return r
		}
		return is(holds(a, b))
	}
	return node{kind: aTerm, pred: both(both(left.check, right.check), compared), q: undefined}, nil
}

// both is and for checks that may be nil.
func both(a, b pred) pred {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return and(a, b)
}

// arithmetic reads an operand, and operators that bind more tightly than the lowest.
func (p *parser) arithmetic(lowest int) (node, error) {
	leave, err := p.deeper()
	if err != nil {
		return node{}, err
	}
	defer leave()
	left, err := p.operand()
	if err != nil {
		return node{}, err
	}
	return p.operators(left, lowest)
}

// operators reads operators that bind more tightly than the lowest, and their right operands.
func (p *parser) operators(left node, lowest int) (node, error) {
	for {
		operator := p.operator(p.next)
		level := precedence[operator]
		if level <= lowest { // 0 is no operator
			return left, nil
		}
		p.next++
		if level == greedy {
			level = 0
		}
		start := p.peek()
		right, err := p.arithmetic(level)
		if err != nil {
			return node{}, err
		}
		if err := p.checkOperand(operator, start, right.value); err != nil {
			return node{}, err
		}
		// As in libpcap, only the left operand brings a check of its protocol.
		combined := combine(operator, left.compute, right.compute)
		left = node{kind: aValue, value: value{check: left.check, compute: combined}}
	}
}

// checkOperand refuses the right operands that libpcap refuses.
func (p *parser) checkOperand(operator string, start token, right value) error {
	if !right.literal {
		return nil
	}
	switch n, _ := right.compute(Packet{}); {
	case n == 0 && (operator == "/" || operator == "%"):
		return p.error(start, "division by zero")
	case n > 31 && (operator == "<<" || operator == ">>"):
		return p.error(start, "a number has 32 bits, so the shift can be 31 at most")
	}
	return nil
}

// combine applies an operator. The result is reject for a division by zero, as in BPF.
func combine(operator string, x, y compute) compute {
	operation := operations[operator]
	divides := operator == "/" || operator == "%"
	return func(p Packet) (uint32, result) {
		a, r := x(p)
		if r != yes {
			return 0, r
		}
		b, r := y(p)
		if r != yes {
			return 0, r
		}
		if divides && b == 0 {
			return 0, reject
		}
		return operation(a, b), yes
	}
}

// startsOperand reports whether an operand comes, but for one in parentheses.
func (p *parser) startsOperand() bool {
	t := p.peek()
	return t.kind == tokenNumber || p.operator(p.next) == "-" ||
		t.kind == tokenKeyword && (t.text == "len" || p.operator(p.next+1) == "[")
}

// operand reads one operand.
func (p *parser) operand() (node, error) {
	t := p.peek()
	switch {
	case p.accept("("):
		n, err := p.arithmetic(0)
		if err != nil {
			return node{}, err
		}
		return n, p.expect(")")
	case p.accept("-"):
		n, err := p.arithmetic(unary)
		if err != nil {
			return node{}, err
		}
		negated := combine("-", literal(0), n.compute)
		return node{kind: aValue, value: value{check: n.check, compute: negated}}, nil
	case t.kind == tokenNumber:
		p.next++
		v := value{compute: literal(t.value), literal: true}
		return node{kind: aNumber, value: v, num: t}, nil
	case p.accept("len"):
		length := func(p Packet) (uint32, result) { return uint32(p.Length), yes }
		return node{kind: aValue, value: value{compute: length}}, nil
	case t.kind == tokenKeyword && p.operator(p.next+1) == "[":
		v, err := p.bytes()
		return node{kind: aValue, value: v}, err
	}
	return node{}, p.error(t, "expected a number, len, or bytes of a protocol such as tcp[13]")
}

func literal(n uint32) compute { return func(Packet) (uint32, result) { return n, yes } }

// bytes reads a protocol and "[offset]" or "[offset:size]".
func (p *parser) bytes() (value, error) {
	protocol := p.take()
	h, ok := headers[protocol.text]
	if !ok {
		if why := notHere[protocol.text]; why != "" {
			return value{}, p.error(protocol, "%s", why)
		}
		return value{}, p.error(protocol, "only ip, ip6, tcp, udp, icmp, icmp6, sctp, igmp, igrp, pim, "+
			"vrrp, carp, arp and rarp have bytes")
	}
	p.next++ // the bracket
	offset, err := p.arithmetic(0)
	if err != nil {
		return value{}, err
	}
	size := uint32(1)
	if p.accept(":") {
		t := p.take()
		if size = t.value; t.kind != tokenNumber || size != 1 && size != 2 && size != 4 {
			return value{}, p.error(t, "expected the number of bytes: 1, 2 or 4")
		}
	}
	check := h.check(offset.check)
	at, start := offset.compute, h.start
	return value{check: check, compute: func(p Packet) (uint32, result) {
		o, r := at(p)
		if r != yes {
			return 0, r
		}
		s, r := start(p)
		if r != yes || h.fixed && s+o < s {
			return 0, reject
		}
		return load(p.Data, s+o, size)
	}}, p.expect("]")
}

// load returns bytes of the packet as a number.
func load(b []byte, at, size uint32) (uint32, result) {
	if uint64(at)+uint64(size) > uint64(len(b)) {
		return 0, reject
	}
	switch b = b[at:]; size {
	case 1:
		return uint32(b[0]), yes
	case 2:
		return uint32(binary.BigEndian.Uint16(b)), yes
	}
	return binary.BigEndian.Uint32(b), yes
}
