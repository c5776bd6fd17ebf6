// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"encoding/binary"
	"strconv"
)

// number computes one of 32 bits. The result is yes or tooShort.
type number func(b []byte, length uint32) (uint32, result)

// value is a number of packets that pass a check, that of the protocols whose bytes are needed.
type value struct {
	check pred
	number
}

var comparisons = map[string]func(a, b uint32) bool{
	"=":  func(a, b uint32) bool { return a == b },
	"==": func(a, b uint32) bool { return a == b },
	"!=": func(a, b uint32) bool { return a != b },
	"<":  func(a, b uint32) bool { return a < b },
	">":  func(a, b uint32) bool { return a > b },
	"<=": func(a, b uint32) bool { return a <= b },
	">=": func(a, b uint32) bool { return a >= b },
}

// precedence of the operators, which bind from left to right.
var precedence = map[string]int{"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}

// compute applies an operator. The result is tooShort for a division by zero, as in BPF.
func compute(operator string, a, b uint32) (uint32, result) {
	switch operator {
	case "|":
		return a | b, yes
	case "^":
		return a ^ b, yes
	case "&":
		return a & b, yes
	case "<<":
		return a << b, yes
	case ">>":
		return a >> b, yes
	case "+":
		return a + b, yes
	case "-":
		return a - b, yes
	case "*":
		return a * b, yes
	}
	if b == 0 {
		return 0, tooShort
	}
	if operator == "/" {
		return a / b, yes
	}
	return a % b, yes
}

// relation reads two values and a comparison.
func (p *parser) relation() (pred, error) {
	left, err := p.arithmetic(1)
	if err != nil {
		return nil, err
	}
	t := p.take()
	holds := comparisons[t.text]
	if holds == nil {
		return nil, p.error(t, "expected a comparison: = != < > <= >=")
	}
	right, err := p.arithmetic(1)
	if err != nil {
		return nil, err
	}
	compared := func(b []byte, n uint32) result {
		x, r := left.number(b, n)
		if r != yes {
			return r
		}
		y, r := right.number(b, n)
		if r != yes {
			return r
		}
		return is(holds(x, y))
	}
	return and(and(left.check, right.check), compared), nil
}

// arithmetic reads operands with operators of at least this precedence between them.
func (p *parser) arithmetic(lowest int) (value, error) {
	if err := p.deeper(); err != nil {
		return value{}, err
	}
	defer func() { p.depth-- }()
	left, err := p.operand()
	if err != nil {
		return value{}, err
	}
	for {
		t := p.peek()
		level := precedence[t.text]
		if level < lowest { // 0 is no operator
			return left, nil
		}
		p.next++
		if d, err := strconv.ParseUint(p.peek().text, 0, 32); err == nil && d == 0 && (t.text == "/" || t.text == "%") {
			return value{}, p.error(p.peek(), "division by zero")
		}
		right, err := p.arithmetic(level + 1)
		if err != nil {
			return value{}, err
		}
		x, y := left.number, right.number
		left = value{and(left.check, right.check), func(b []byte, n uint32) (uint32, result) {
			a, r := x(b, n)
			if r != yes {
				return 0, r
			}
			c, r := y(b, n)
			if r != yes {
				return 0, r
			}
			return compute(t.text, a, c)
		}}
	}
}

func (p *parser) operand() (value, error) {
	always := constant(yes)
	t := p.take()
	switch {
	case t.text == "(":
		v, err := p.arithmetic(1)
		if err != nil {
			return value{}, err
		}
		return v, p.expect(")")
	case t.text == "len":
		return value{always, func(_ []byte, n uint32) (uint32, result) { return n, yes }}, nil
	case p.peek().text == "[" && t.word:
		return p.bytes(t)
	}
	if n, ok := constants[t.text]; ok {
		return value{always, literal(n)}, nil
	}
	if n, err := strconv.ParseUint(t.text, 0, 32); err == nil && isNumber(t.text) {
		return value{always, literal(uint32(n))}, nil
	}
	return value{}, p.error(t, "expected a number, len, or bytes of a protocol such as tcp[13] or ip[2:2]")
}

func literal(n uint32) number { return func([]byte, uint32) (uint32, result) { return n, yes } }

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 0, 32)
	return err == nil && text[0] >= '0' && text[0] <= '9'
}

// bytes reads "[offset]" or "[offset:size]" behind a protocol.
func (p *parser) bytes(protocol token) (value, error) {
	h, ok := headers[protocol.text]
	if !ok {
		return value{}, p.error(protocol, "bytes can be had of ip, ip6, tcp, udp, icmp, icmp6, sctp, igmp, pim, ah, esp and vrrp")
	}
	p.next++ // the bracket
	offset, err := p.arithmetic(1)
	if err != nil {
		return value{}, err
	}
	size := uint32(1)
	if p.accept(":") {
		t := p.take()
		switch t.text {
		case "1":
		case "2":
			size = 2
		case "4":
			size = 4
		default:
			return value{}, p.error(t, "expected the number of bytes: 1, 2 or 4")
		}
	}
	return value{and(offset.check, h.check), func(b []byte, n uint32) (uint32, result) {
		o, r := offset.number(b, n)
		if r != yes {
			return 0, r
		}
		at, r := h.start(b, n)
		if r != yes {
			return 0, r
		}
		return load(b, at+o, size)
	}}, p.expect("]")
}

// load returns bytes of the packet as a number.
func load(b []byte, at, size uint32) (uint32, result) {
	if uint64(at)+uint64(size) > uint64(len(b)) {
		return 0, tooShort
	}
	switch b = b[at:]; size {
	case 1:
		return uint32(b[0]), yes
	case 2:
		return uint32(binary.BigEndian.Uint16(b)), yes
	}
	return binary.BigEndian.Uint32(b), yes
}
