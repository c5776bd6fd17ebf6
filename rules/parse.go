// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// Parse reads a rule from words, in any order:
//
//	prerouting in forward out postrouting   the hook, the only word that must be there
//	inet ip ip6 bridge                      the family, inet if there is none
//	tcp udp icmp icmpv6 sctp dccp udplite   the protocol
//	proto NUMBER                            another protocol
//	type TYPE                               ICMP or ICMPv6 type, a number or nft's name
//	iif NAME, oif NAME                      interface of arrival, of departure
//	saddr ADDRESS[/BITS][,...], daddr ...   source, destination
//	sport PORT[-PORT][,...], dport ...      source, destination
//	port PORT[-PORT][,...]                  source or destination
//	uid NUMBER, gid NUMBER                  user, group that sends it
//	cgroup PATH                             control group of the program that has the socket
//	mark VALUE[/MASK]                       decimal or 0x...
//	ct STATE[,STATE...]                     new established related invalid untracked
//	ctmark VALUE[/MASK]                     mark of the connection
//	packets NUMBER                          the first packets of a connection
//	bytes NUMBER                            the first bytes of a connection
//	priority NUMBER                         0 if there is none
//	queue NUMBER[-NUMBER]                   one or several queues, 0 if there is none
//	fanout                                  choose among several by CPU
//	bypass, nobypass                        pass (as if there were no word) or drop
//	                                        packets while nobody has bound the queue
//	offload [MASK]                          keep packets of decided connections from the
//	                                        queue, with DefaultOffload or another mask
//	noreject                                offload without the rules that reject
//	not                                     negates the next word, see Rule.Not: one of
//	                                        the protocols, or of the words from type
//	                                        to cgroup, mark, ct and ctmark
//
// As nft has it, "dport {80, 443}" and "dport != 80" are understood too, and "!" for "not".
//
// For instance "out tcp dport 443", "forward udp port 53 iif eth0", "in ip6 icmpv6
// type echo-request". Also "input" and "output" are understood.
//
// The error is a *ParseError. If every word is right but they do not fit together, it
// wraps the *FieldError of Rule.Validate and points at the word concerned.
func Parse(text string) (Rule, error) {
	p := &parser{text: text, words: word.Split(text), given: make(map[string]word.Word)}
	for p.next < len(p.words) {
		if err := p.clause(); err != nil {
			return Rule{}, err
		}
	}
	return p.finish()
}

// ParseError says what Parse did not understand.
type ParseError struct {
	Text string // what was parsed
	Pos  int    // where the word starts, in bytes; the length of Text if a word is missing
	Word string // the word, empty if it is missing
	Err  error  // what was expected, or a *FieldError
}

// Error points at the word and says what was expected.
func (e *ParseError) Error() string {
	err, of := e.Err, ""
	var f *FieldError
	if errors.As(err, &f) { // which is for Go
		err = f.Err
		for keyword, field := range arguments {
			if field == f.Field {
				of = keyword + ": "
			}
		}
	}
	if e.Word == "" {
		return fmt.Sprintf("rule %q: at the end: %s%v", e.Text, of, err)
	}
	return fmt.Sprintf("rule %q: at %q (column %d): %v", e.Text, e.Word, e.Pos+1, err)
}

// Unwrap returns what was expected.
func (e *ParseError) Unwrap() error { return e.Err }

// parser is the state of one Parse.
type parser struct {
	text  string
	words []word.Word
	next  int
	rule  Rule
	typ   word.Word            // names of types depend on the protocol, which may come later
	given map[string]word.Word // what has set a field, by its name
}

// take returns the next word, an empty one at the end.
func (p *parser) take() word.Word {
	if p.next == len(p.words) {
		return word.Word{Pos: len(p.text)}
	}
	p.next++
	return p.words[p.next-1]
}

func (p *parser) error(w word.Word, err error) error {
	return &ParseError{Text: p.text, Pos: w.Pos, Word: w.Text, Err: err}
}

// once remembers which word sets a field.
func (p *parser) once(field string, w word.Word) error {
	if before, ok := p.given[field]; ok {
		return p.error(w, fmt.Errorf("%q (column %d) has already said that",
			before.Text, before.Pos+1))
	}
	p.given[field] = w
	return nil
}

// finish does what needs all words.
func (p *parser) finish() (Rule, error) {
	if _, ok := p.given["Hook"]; !ok {
		return Rule{}, p.error(word.Word{Pos: len(p.text)},
			errors.New("expected a hook: prerouting, in, forward, out or postrouting"))
	}
	if p.typ.Text != "" {
		t, err := icmpType(p.rule.Protocol, p.typ.Text)
		if err != nil {
			return Rule{}, p.error(p.typ, err)
		}
		p.rule.ICMPType = t
	}
	err := p.rule.Validate()
	var f *FieldError
	if errors.As(err, &f) {
		w, ok := p.given[f.Field]
		if !ok && f.Field == "Offload" {
			w, ok = p.given["NoReject"]
			f = &FieldError{f.Field, errors.New("there is nothing to offload; add the word offload")}
		}
		if !ok { // the default is at fault
			w = word.Word{Pos: len(p.text)}
		}
		return Rule{}, p.error(w, f)
	}
	return p.rule.normal(), nil
}

// clause reads a keyword and the words that belong to it.
func (p *parser) clause() error {
	w := p.take()
	if w.Text != "not" && w.Text != "!" {
		return p.keyword(w)
	}
	next := p.take()
	field, ok := arguments[next.Text]
	if _, named := protocolOfName[next.Text]; named {
		field, ok = "Protocol", true
	}
	match, can := matchOfField[field]
	if ok && can {
		p.rule.Not |= match
		return p.keyword(next)
	}
	if next.Text != "" && !ok && !slices.Contains(keywords(), next.Text) {
		return p.keyword(next) // which is no word
	}
	return p.error(next, fmt.Errorf("expected what can be negated behind %q: a protocol, type, iif, "+
		"oif, saddr, daddr, sport, dport, port, uid, gid, cgroup, mark, ct or ctmark", w.Text))
}

// keyword reads the words that belong to the keyword w.
func (p *parser) keyword(w word.Word) error {
	if hook, ok := hookOfWord[w.Text]; ok {
		p.rule.Hook = hook
		return p.once("Hook", w)
	}
	if family, ok := familyOfWord[w.Text]; ok {
		p.rule.Family = family
		return p.once("Family", w)
	}
	if protocol, ok := protocolOfName[w.Text]; ok {
		p.rule.Protocol = protocol
		return p.once("Protocol", w)
	}
	switch w.Text {
	case "fanout":
		p.rule.Fanout = true
		return p.once("Fanout", w)
	case "offload":
		if err := p.once("Offload", w); err != nil {
			return err
		}
		return p.offloadMask()
	case "noreject":
		p.rule.Offload.NoReject = true
		return p.once("NoReject", w)
	case "bypass", "nobypass":
		p.rule.NoBypass = w.Text == "nobypass"
		return p.once("NoBypass", w)
	}
	field, ok := arguments[w.Text]
	if !ok {
		return p.error(w, unknown(w.Text))
	}
	value := p.take()
	if match, can := matchOfField[field]; value.Text == "!=" && can {
		if p.rule.Not&match != 0 {
			return p.error(value, errors.New("this is negated twice"))
		}
		p.rule.Not |= match
		value = p.take()
	}
	if err := p.once(field, value); err != nil {
		return err
	}
	text := value.Text
	if matchOfField[field]&(MatchSrc|MatchDst|MatchSrcPort|MatchDstPort|MatchPort) != 0 {
		text = p.list(text)
	}
	if err := p.set(w.Text, text); err != nil {
		return p.error(value, err)
	}
	return nil
}

// unknown says what to write instead of a word that is none of a rule.
func unknown(w string) error {
	if hint := foreign[w]; hint != "" {
		return errors.New(hint)
	}
	lower := strings.ToLower(w)
	if lower != w && slices.Contains(keywords(), lower) {
		return fmt.Errorf("words are in small letters: %q", lower)
	}
	if meant := word.Closest(w, keywords()); meant != "" {
		return fmt.Errorf("no such word; did you mean %q?", meant)
	}
	if _, err := prefix(w); err == nil {
		return errors.New("write saddr or daddr before an address, and several with commas " +
			"between them")
	}
	if _, err := ports(w); err == nil {
		return errors.New("write a word such as dport before a number, and several with commas " +
			"between them")
	}
	return errors.New("expected a hook " +
		"(prerouting, in, forward, out, postrouting), " +
		"a family (inet, ip, ip6, bridge), " +
		"a protocol (tcp, udp, icmp, icmpv6, sctp, dccp, udplite), " +
		"or one of not, proto, type, iif, oif, saddr, daddr, sport, dport, port, uid, gid, " +
		"cgroup, mark, ct, ctmark, packets, bytes, priority, queue, fanout, bypass, nobypass, offload, " +
		"noreject")
}

const alternatives = "a rule has no alternatives; write several values with commas between them, " +
	"as in dport 80,443, or another rule"

// foreign are words of tcpdump and nft, and what to write instead.
var foreign = map[string]string{
	"and":       "all words of a rule are required; leave \"and\" out",
	"&&":        "all words of a rule are required; leave \"&&\" out",
	"or":        alternatives,
	"||":        alternatives,
	"host":      "write saddr ADDRESS or daddr ADDRESS",
	"net":       "write saddr ADDRESS/BITS or daddr ADDRESS/BITS",
	"src":       "write saddr ADDRESS or sport PORT",
	"dst":       "write daddr ADDRESS or dport PORT",
	"portrange": "write port PORT-PORT",
	"iifname":   "write iif NAME",
	"oifname":   "write oif NAME",
}

// list returns a value. If it begins with a brace as those of nft, it is all up to the other one,
// without the braces.
func (p *parser) list(value string) string {
	if !strings.HasPrefix(value, "{") {
		return value
	}
	for !strings.HasSuffix(value, "}") && p.next < len(p.words) {
		value += p.take().Text
	}
	if inner, ok := strings.CutSuffix(value[1:], "}"); ok {
		return strings.TrimSuffix(inner, ",")
	}
	return value
}

// keywords returns the words that a clause can begin with, in order.
func keywords() []string {
	words := slices.Clone(flagWords)
	for w := range hookOfWord {
		words = append(words, w)
	}
	for w := range familyOfWord {
		words = append(words, w)
	}
	for w := range protocolOfName {
		words = append(words, w)
	}
	for w := range arguments {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}

// flagWords are the keywords that no value must follow.
var flagWords = []string{"fanout", "bypass", "nobypass", "offload", "noreject", "not"}

var hookOfWord = map[string]nfqueue.Hook{"input": nfqueue.HookInput, "output": nfqueue.HookOutput}

func init() {
	for hook, w := range hookWords {
		hookOfWord[w] = nfqueue.Hook(hook)
	}
}

var familyOfWord = map[string]nfqueue.Family{
	"inet":   0,
	"ip":     nfqueue.FamilyIPv4,
	"ip6":    nfqueue.FamilyIPv6,
	"bridge": nfqueue.FamilyBridge,
}
