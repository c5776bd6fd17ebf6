// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// tokenKind is the class of a token.
type tokenKind uint8

const (
	tokenEnd      tokenKind = iota // behind the last token
	tokenOperator                  // "and", "or" and "not" are among them
	tokenKeyword                   // a word of the language
	tokenNumber                    // of 32 bits, or the name of one such as tcp-syn
	tokenQuad                      // two to four decimal numbers with dots
	tokenIP6                       // an IPv6 address
	tokenMAC                       // a link-layer address
	tokenName                      // any other word, or one with a backslash before it
)

// token is a word or an operator.
type token struct {
	kind  tokenKind
	text  string // without backslash, and as in canonical
	pos   int
	value uint32 // of a number
}

// operators are sorted so that the longer of two comes first.
var operators = []string{
	"<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
	"(", ")", "[", "]", ":", "!", "<", ">", "=", "&", "|", "^", "+", "-", "*", "/", "%",
}

// canonical has one of the words or operators that mean the same.
var canonical = map[string]string{"&&": "and", "||": "or", "!": "not", "==": "=", "length": "len"}

const (
	alphanumeric   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	addressBytes   = "0123456789ABCDEFabcdef:."
	maxFilterBytes = 1 << 16
)

const (
	octet = `[0-9A-Fa-f]{1,2}`
	pair  = `[0-9A-Fa-f]{4}`
	six   = `[0-9A-Fa-f]{12}`
)

var (
	numberForm   = regexp.MustCompile(`^([0-9]+|0[xX][0-9A-Fa-f]+)$`)
	quadForm     = regexp.MustCompile(`^[0-9]+(\.[0-9]+){1,3}$`)
	hardwareForm = regexp.MustCompile(`^(` +
		octet + `((:` + octet + `){5}|(-` + octet + `){5}|(\.` + octet + `){5})|` +
		pair + `\.` + pair + `\.` + pair + `|` + six + `)$`)
)

// lex splits the text into tokens as the scanner of libpcap does: each is as long as it can be.
func (p *parser) lex() error {
	if len(p.text) > maxFilterBytes {
		return &Error{p.text[:20] + "...", maxFilterBytes, "...", "the filter is too long"}
	}
	for at := 0; at < len(p.text); {
		if strings.IndexByte(" \t\n\r", p.text[at]) >= 0 {
			at++
			continue
		}
		t, length, err := p.scan(at)
		if err != nil {
			return err
		}
		p.tokens = append(p.tokens, t)
		at += length
	}
	return nil
}

// scan returns the token at a position, and its length in the text.
func (p *parser) scan(at int) (token, int, error) {
	rest := p.text[at:]
	if word := run(rest, addressBytes); strings.Count(word, ":") > 1 {
		t := token{tokenIP6, word, at, 0}
		if hardwareForm.MatchString(word) {
			t.kind = tokenMAC
		} else if _, err := netip.ParseAddr(word); err != nil {
			return t, 0, p.error(t, "this is neither an IPv6 address nor a link-layer address")
		}
		return t, len(word), nil
	}
	if rest[0] == '\\' {
		n := strings.IndexAny(rest, " !()\n\t")
		if n < 0 {
			n = len(rest)
		}
		if n > 1 {
			return token{tokenName, rest[1:n], at, 0}, n, nil
		}
	}
	if strings.IndexByte(alphanumeric, rest[0]) >= 0 {
		word := strings.TrimRight(run(rest, alphanumeric+"-_."), "-_")
		t, err := p.word(word, at)
		return t, len(word), err
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			return token{tokenOperator, canonicalOf(o), at, 0}, len(o), nil
		}
	}
	t := token{tokenOperator, rest[:1], at, 0}
	return t, 0, p.error(t, "no word starts like this")
}

// word classifies a word.
func (p *parser) word(word string, at int) (token, error) {
	t := token{tokenName, canonicalOf(word), at, 0}
	value, constant := constants[word]
	switch {
	case word == "and", word == "or", word == "not":
		t.kind = tokenOperator
	case keywords[word]:
		t.kind = tokenKeyword
	case constant:
		t.kind, t.value = tokenNumber, value
	case hardwareForm.MatchString(word):
		t.kind = tokenMAC
	case quadForm.MatchString(word):
		t.kind = tokenQuad
	case numberForm.MatchString(word):
		n, err := strconv.ParseUint(word, 0, 32)
		if err != nil {
			return t, p.error(t, "expected 32 bits: decimal, octal after 0, or hexadecimal after 0x")
		}
		t.kind, t.value = tokenNumber, uint32(n)
	}
	return t, nil
}

func canonicalOf(text string) string {
	if c, ok := canonical[text]; ok {
		return c
	}
	return text
}

// run returns the beginning of the text that consists of these bytes.
func run(text, bytes string) string {
	for i := range len(text) {
		if strings.IndexByte(bytes, text[i]) < 0 {
			return text[:i]
		}
	}
	return text
}
