// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// ParseSettings reads settings as they are in a line of a schedule. Those of tc-netem(8) that have
// a meaning here are understood: "delay 100ms 10ms", "loss random 5%", "loss gemodel 1% 10%".
func ParseSettings(text string) (Settings, error) {
	s, bad, err := parseSettings(word.Split(text))
	return s, located(bad, err)
}

// ParseLeading reads the settings that words begin with, and returns the words behind them. Base
// are the settings that given names have already.
func ParseLeading(
	words []string,
	base Settings,
	given ...string,
) (s Settings, rest []string, err error) {
	p := settingsParser{settings: base, given: make(map[string]bool)}
	for _, name := range given {
		p.given[name] = true
	}
	for i, w := range words {
		p.words = append(p.words, word.Word{Text: w, Pos: i})
	}
	for len(p.words) > 0 && p.known(p.words[0].Text) {
		if bad, err := p.setting(); err != nil {
			if bad.Text != "" {
				err = fmt.Errorf("at %q: %w", bad.Text, err)
			}
			return s, nil, err
		}
	}
	return p.settings, words[len(words)-len(p.words):], nil
}

// Refusal returns why a setting of tc-netem(8) is not one here, nil if it is none of those.
func Refusal(name string) error {
	if reason, ok := refused[name]; ok {
		return errors.New(reason)
	}
	return nil
}

// refused are the settings of netem that are not understood, and why.
var refused = map[string]string{
	"duplicate": "packets cannot be duplicated: the kernel takes each one back once, and a copy sent by other means " +
		"would not take the same way through rules, routing and connection tracking",
	"slot": "there are no slots: packets leave one by one, when their delay has passed; rate and limit make bursts wait",
	"ecn":  "packets are lost, not marked: a router that marks knows its queue, which is not simulated",
	"state": "there is no model of four states; \"loss gemodel P R 1-H 1-K\" has two, and \"loss 5% burst 3\" loses " +
		"packets in a row",
	"seed": "the seed is a flag of its own: --seed NUMBER",
}

// located finds the wrong word in a text.
func located(bad word.Word, err error) error {
	if err == nil || bad.Text == "" {
		return err
	}
	return fmt.Errorf("at %q (column %d): %w", bad.Text, bad.Pos+1, err)
}

// parseSettings reads settings. With an error it returns the word that is wrong, none at the end.
func parseSettings(words []word.Word) (Settings, word.Word, error) {
	if len(words) == 1 && words[0].Text == "nothing" {
		return Settings{}, word.Word{}, nil
	}
	if len(words) == 0 {
		return Settings{}, word.Word{}, errors.New(`expected settings, or "nothing"`)
	}
	p := settingsParser{words: words, given: make(map[string]bool)}
	for len(p.words) > 0 {
		if bad, err := p.setting(); err != nil {
			return p.settings, bad, err
		}
	}
	if err := p.settings.Validate(); err != nil {
		return p.settings, words[0], err
	}
	return p.settings, word.Word{}, nil
}

// settingsParser reads settings word by word.
type settingsParser struct {
	settings Settings
	words    []word.Word // those not read yet
	given    map[string]bool
}

// known reports whether a word names a setting, or one that is refused with a reason.
func (p *settingsParser) known(name string) bool {
	return slices.Contains(understood(), name)
}

// next returns the next word, and an empty one at the end.
func (p *settingsParser) next() (w word.Word) {
	if len(p.words) > 0 {
		w, p.words = p.words[0], p.words[1:]
	}
	return w
}

// peek returns the text of the next word, "" at the end.
func (p *settingsParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0].Text
}

// setting reads one setting.
func (p *settingsParser) setting() (bad word.Word, err error) {
	name := p.next()
	if err := Refusal(name.Text); err != nil {
		return name, err
	}
	if !p.known(name.Text) {
		return name, unknownSetting(name.Text)
	}
	switch name.Text {
	case "delay", "latency": // as in netem: TIME [JITTER [CORRELATION]]
		if bad, err = p.value(name, "delay"); err != nil {
			return bad, err
		}
		if _, err := ParseTime(p.peek()); err != nil {
			return bad, nil
		}
		if bad, err = p.value(name, "jitter"); err != nil || !isPercent(p.peek()) {
			return bad, err
		}
		return p.value(name, "correlation")
	case "loss":
		return p.loss(name)
	case "rate": // as in netem: RATE [OVERHEAD]
		if bad, err = p.value(name, "rate"); err != nil || !isNumber(p.peek()) {
			return bad, err
		}
		return p.value(name, "overhead")
	case "reorder", "corrupt":
		if bad, err = p.value(name, name.Text); err != nil {
			return bad, err
		}
		return p.noCorrelation(
			"only the jitter has a correlation: that of netem changes how many packets are concerned",
		)
	}
	return p.value(name, name.Text)
}

// loss reads what follows the word: [random] PERCENT, or gemodel P [R [1-H [1-K]]] as in netem.
func (p *settingsParser) loss(name word.Word) (bad word.Word, err error) {
	switch p.peek() {
	case "random":
		p.next()
	case "state":
		return p.next(), Refusal("state")
	case "gemodel":
		model := p.next()
		list := p.next()
		for isPercent(p.peek()) {
			list.Text += "," + p.next().Text
		}
		p.words = slices.Insert(p.words, 0, list)
		if list.Text == "" {
			p.words = nil
		}
		return p.value(model, "gemodel")
	}
	if bad, err = p.value(name, "loss"); err != nil {
		return bad, err
	}
	if p.peek() == "ecn" {
		return p.next(), Refusal("ecn")
	}
	return p.noCorrelation(
		"losses have no correlation, with which netem loses fewer packets than asked for; " +
			"\"burst N\" loses packets in a row",
	)
}

// noCorrelation refuses a percentage.
func (p *settingsParser) noCorrelation(reason string) (word.Word, error) {
	if isPercent(p.peek()) {
		return p.next(), errors.New(reason)
	}
	return word.Word{}, nil
}

// value reads the value of a setting. said is the word that names the setting.
func (p *settingsParser) value(said word.Word, name string) (word.Word, error) {
	if p.given[name] {
		return said, fmt.Errorf("%s is given twice", name)
	}
	p.given[name] = true
	missing := len(p.words) == 0
	value := p.next()
	err := p.settings.Set(name, value.Text)
	if missing {
		return word.Word{}, fmt.Errorf("expected a value for %s", name)
	}
	return value, err
}

func isPercent(text string) bool {
	_, err := parsePercent(text)
	return err == nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}
