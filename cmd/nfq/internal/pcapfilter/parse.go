// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"fmt"
	"slices"
)

// parser is the state of one Compile.
type parser struct {
	text   string
	tokens []token
	next   int
	depth  int
	last   qualifiers // those of the last primitive, for "port 80 or 443"
	any    bool       // there was one
}

// maxDepth bounds how deep parentheses, brackets and "not" are nested.
const maxDepth = 200

func (p *parser) error(t token, format string, args ...any) error {
	return &Error{Text: p.text, Pos: t.pos, Word: t.text, Why: fmt.Sprintf(format, args...)}
}

// peek returns the next token, one without text at the end.
func (p *parser) peek() token { return p.at(p.next) }

func (p *parser) at(i int) token {
	if i < len(p.tokens) {
		return p.tokens[i]
	}
	return token{pos: len(p.text)}
}

func (p *parser) take() token {
	t := p.peek()
	p.next = min(p.next+1, len(p.tokens))
	return t
}

// accept takes the next token if it is one of these.
func (p *parser) accept(texts ...string) bool {
	if !slices.Contains(texts, p.peek().text) || p.peek().text == "" {
		return false
	}
	p.next++
	return true
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.error(p.peek(), "expected %q", text)
	}
	return nil
}

// deeper counts a level of nesting.
func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return p.error(p.peek(), "nested too deeply")
	}
	return nil
}

// expression reads terms with "and" and "or" between them. These bind equally, from left to right.
func (p *parser) expression() (pred, error) { return p.chain(p.term) }

func (p *parser) chain(term func() (pred, error)) (pred, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := term()
	for err == nil {
		join := and
		switch {
		case p.accept("and", "&&"):
		case p.accept("or", "||"):
			join = or
		default:
			return left, nil
		}
		var right pred
		if right, err = term(); err == nil {
			left = join(left, right)
		}
	}
	return nil, err
}

func (p *parser) term() (pred, error) {
	switch t := p.peek(); {
	case p.accept("not", "!"):
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		inner, err := p.term()
		if err != nil {
			return nil, err
		}
		return not(inner), nil
	case p.startsArithmetic():
		return p.relation()
	case t.text == "(":
		p.next++
		inner, err := p.expression()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	}
	return p.primitive()
}

// startsArithmetic reports whether a comparison comes: "len > 100", "tcp[13] = 2", "(ip[0] & 15) > 5".
func (p *parser) startsArithmetic() bool {
	t := p.peek()
	if t.text == "(" {
		depth := 0
		for i := p.next; i < len(p.tokens); i++ {
			switch p.tokens[i].text {
			case "(":
				depth++
			case ")":
				if depth--; depth == 0 {
					return p.operator(i + 1)
				}
			}
		}
		return false
	}
	if t.text == "len" {
		return true
	}
	_, named := constants[t.text]
	return t.word && (p.at(p.next+1).text == "[" || p.operator(p.next+1) && (named || isNumber(t.text)))
}

// operator reports whether the token at i is one of arithmetic or a comparison.
func (p *parser) operator(i int) bool {
	_, binary := precedence[p.at(i).text]
	return binary || comparisons[p.at(i).text] != nil
}
