// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import "fmt"

// parser is the state of one Compile.
type parser struct {
	text   string
	names  names
	tokens []token
	next   int
	depth  int
}

// maxDepth bounds how deep parentheses, brackets, "not" and operators are nested.
const maxDepth = 200

func (p *parser) error(t token, format string, args ...any) error {
	return &Error{Text: p.text, Pos: t.pos, Word: t.text, Why: fmt.Sprintf(format, args...)}
}

// peek returns the next token.
func (p *parser) peek() token { return p.at(p.next) }

func (p *parser) at(i int) token {
	if i < len(p.tokens) {
		return p.tokens[i]
	}
	return token{kind: tokenEnd, pos: len(p.text)}
}

func (p *parser) take() token {
	t := p.peek()
	p.next = min(p.next+1, len(p.tokens))
	return t
}

// accept takes the next token if it is this operator or keyword.
func (p *parser) accept(text string) bool {
	if t := p.peek(); t.text != text || t.kind != tokenOperator && t.kind != tokenKeyword {
		return false
	}
	p.next++
	return true
}

// operator returns the text of the token at i if it is an operator.
func (p *parser) operator(i int) string {
	if t := p.at(i); t.kind == tokenOperator {
		return t.text
	}
	return ""
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.error(p.peek(), "expected %q", text)
	}
	return nil
}

// deeper counts a level of nesting until the function that it returns is called.
func (p *parser) deeper() (leave func(), err error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.error(p.peek(), "nested too deeply")
	}
	return func() { p.depth-- }, nil
}

// nodeKind is what a part of a filter can be used for.
type nodeKind uint8

const (
	aTerm   nodeKind = iota // a condition of its own
	anID                    // an id with the qualifiers of what is before it, or several, joined
	aList                   // several of them in parentheses
	aNumber                 // a number, maybe in parentheses: an id, or an operand
	aValue                  // any other operand
)

// node is a part of a filter.
type node struct {
	kind  nodeKind
	pred             // of the first three kinds
	q     qualifiers // that an id behind it gets, of the first three kinds
	value            // of the last two kinds
	num   token      // of aNumber
}

// expression reads parts with "and" and "or" between them, which bind equally, from left to right.
// An id at its beginning gets the qualifiers q, any other those of the part before it.
func (p *parser) expression(q qualifiers) (node, error) {
	leave, err := p.deeper()
	if err != nil {
		return node{}, err
	}
	defer leave()
	first := p.peek()
	left, err := p.part(q)
	for err == nil {
		join := and
		switch {
		case p.accept("and"):
		case p.accept("or"):
			join = or
		default:
			return left, nil
		}
		if left, err = p.condition(left, q); err != nil {
			break
		}
		if left.kind == aList {
			return node{}, p.error(first, "leave out the inner parentheses")
		}
		start := p.peek()
		var right node
		if right, err = p.part(left.q); err != nil {
			break
		}
		if right, err = p.condition(right, left.q); err != nil {
			break
		}
		if left.kind == anID && right.kind == aTerm {
			return node{}, p.error(start, "expected %s: the list starts with one", q.wanted())
		}
		left.pred, left.q = join(left.pred, right.pred), right.q
	}
	return node{}, err
}

// condition makes an id of a number. It refuses other operands.
func (p *parser) condition(n node, q qualifiers) (node, error) {
	switch n.kind {
	case aNumber:
		id, err := p.id(q, n.num)
		return node{kind: anID, pred: id, q: q}, err
	case aValue:
		return n, p.error(p.peek(), "expected a comparison: = != < > <= >=")
	}
	return n, nil
}

// part reads what stands between "and" and "or". An id gets the qualifiers q.
func (p *parser) part(q qualifiers) (node, error) {
	t := p.peek()
	switch {
	case p.accept("not"):
		leave, err := p.deeper()
		if err != nil {
			return node{}, err
		}
		defer leave()
		n, err := p.part(q)
		if err == nil {
			n, err = p.condition(n, q)
		}
		if err != nil {
			return node{}, err
		}
		if n.kind == aList {
			n.kind = anID
		}
		n.pred = not(n.pred)
		return n, nil
	case p.accept("("):
		n, err := p.group(q)
		if err != nil || n.kind != aNumber && n.kind != aValue {
			return n, err
		}
		return p.relation(n)
	case p.startsOperand():
		n, err := p.operand()
		if err != nil {
			return node{}, err
		}
		return p.relation(n)
	case t.kind == tokenName, t.kind == tokenQuad, t.kind == tokenIP6, t.kind == tokenMAC:
		id, err := p.id(q, p.take())
		return node{kind: anID, pred: id, q: q}, err
	}
	return p.primitive()
}

// group reads what is behind an opening parenthesis, and the closing one.
func (p *parser) group(q qualifiers) (node, error) {
	start := p.peek()
	n, err := p.expression(q)
	if err != nil {
		return node{}, err
	}
	switch n.kind {
	case aTerm:
		n.q = q // those of what is before the group, not of its last part
	case anID:
		n.kind = aList
	case aList:
		return node{}, p.error(start, "leave out the inner parentheses")
	}
	return n, p.expect(")")
}
