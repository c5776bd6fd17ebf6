// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import "strings"

// token is a word or an operator.
type token struct {
	text string
	pos  int
	word bool
}

// operators, the longer ones first.
var operators = []string{"<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "(", ")", "[", "]", ":", "!", "<", ">", "=", "&", "|", "^", "+", "-", "*", "/", "%"}

// Bytes of a word after its first. Within brackets those are missing that are operators there.
const (
	wordBytes      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."
	addressBytes   = wordBytes + ":/-"
	maxFilterBytes = 1 << 16
)

// lex splits the text into tokens.
func (p *parser) lex() error {
	if len(p.text) > maxFilterBytes {
		return &Error{Text: p.text[:20] + "...", Pos: maxFilterBytes, Word: "...", Why: "the filter is too long"}
	}
	brackets := 0
	for at := 0; at < len(p.text); {
		rest := p.text[at:]
		switch c := rest[0]; {
		case strings.IndexByte(" \t\n\r", c) >= 0:
			at++
			continue
		case strings.IndexByte(wordBytes, c) >= 0 || c == '\\' || strings.HasPrefix(rest, "::") && brackets == 0:
			bytes := addressBytes
			if brackets > 0 {
				bytes = wordBytes
			}
			end := 1
			for end < len(rest) && strings.IndexByte(bytes, rest[end]) >= 0 {
				end++
			}
			p.tokens = append(p.tokens, token{rest[:end], at, true})
			at += end
			continue
		}
		found := ""
		for _, o := range operators {
			if strings.HasPrefix(rest, o) {
				found = o
				break
			}
		}
		t := token{found, at, false}
		switch found {
		case "":
			t.text = rest[:1]
			return p.error(t, "there is nothing that starts like this")
		case "[":
			brackets++
		case "]":
			brackets--
		}
		p.tokens = append(p.tokens, t)
		at += len(found)
	}
	return nil
}
