// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// Word is the name of a setting, as a flag and in a schedule.
type Word struct {
	Name  string
	Value string // stands for the value in a help
	Help  string
	set   func(s *Settings, value string) error
	text  func(s Settings) string // empty if it is not set
}

// Choices returns the values that there are, none if they are too many.
func (w Word) Choices() []string {
	if !strings.Contains(w.Value, "|") {
		return nil
	}
	return strings.Split(w.Value, "|")
}

// Words returns all settings.
func Words() []Word { return words }

// Set gives one of the settings, by its name, the value in a text.
func (s *Settings) Set(name, value string) error {
	i := slices.IndexFunc(words, func(w Word) bool { return w.Name == name })
	if i < 0 {
		return unknownSetting(name)
	}
	return words[i].set(s, value)
}

// names returns the names of all settings.
func names() []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.Name
	}
	return all
}

// understood returns the names, and words of tc-netem(8) that mean the same or are refused.
func understood() []string {
	return slices.Concat(slices.Sorted(maps.Keys(refused)), []string{"latency"}, names())
}

// Meant returns the name of the setting that a word is, or was probably meant to be, and nothing if
// it is like none. Settings of tc-netem(8) that are refused are among them.
func Meant(mistyped string) string { return word.Closest(mistyped, understood()) }

// unknownSetting says what to write instead of a word that is no setting.
func unknownSetting(name string) error {
	if meant := Meant(name); meant != "" {
		return fmt.Errorf("no such setting; did you mean %q?", meant)
	}
	return fmt.Errorf("expected a setting: %s", strings.Join(names(), ", "))
}

var words = []Word{
	durationWord("delay", "how much later packets leave",
		func(s *Settings) *time.Duration { return &s.Delay }),
	durationWord("jitter", "how far delays are from that",
		func(s *Settings) *time.Duration { return &s.Jitter }),
	choiceWord(
		"distribution",
		"of the jitter: uniform (from -jitter to +jitter), normal, pareto or paretonormal (jitter is the standard deviation)",
		func(s *Settings) *Distribution { return &s.Distribution },
		"uniform",
		"normal",
		"pareto",
		"paretonormal",
	),
	percentWord("correlation", "how much the jitter of a packet resembles that of the one before",
		func(s *Settings) *float64 { return &s.Correlation }),
	choiceWord("order", "keep: packets wait for those before them; free: jitter changes the order",
		func(s *Settings) *Order { return &s.Order }, "keep", "free"),
	percentWord("loss", "how many packets are lost", func(s *Settings) *float64 { return &s.Loss }),
	{"burst", "N", "how many packets are lost in a row, on average", setBurst, burstText},
	{
		"gemodel",
		"P,R,...",
		"losses by the model of Gilbert and Elliott, as netem has it: percentages p,r,1-h,1-k, the last two 100%,0% if left out",
		setModel,
		modelText,
	},
	percentWord("reorder", "how many packets overtake those before, by leaving without the delay",
		func(s *Settings) *float64 { return &s.Reorder }),
	countWord("gap", "N", "only each N-th packet may overtake",
		func(s *Settings) *int { return &s.Gap }),
	{
		"rate",
		"RATE",
		"bits that pass in a second, of IP packets: 512kbit, 10mbit, 1.5gbit",
		setRate,
		func(s Settings) string { return rateText(s.Rate) },
	},
	countWord("overhead", "BYTES",
		"what the link adds to each packet, for the rate (Ethernet: 38 with preamble and gap)",
		func(s *Settings) *int { return &s.Overhead }),
	percentWord("corrupt", "how many packets are damaged behind the IP header",
		func(s *Settings) *float64 { return &s.Corrupt }),
	choiceWord("flip", "what is damaged: one bit or one byte",
		func(s *Settings) *Flip { return &s.Flip }, "bit", "byte"),
	percentWord("truncate", "how many packets are cut",
		func(s *Settings) *float64 { return &s.Truncate }),
	countWord("truncate-to", "BYTES",
		"what is left of them, from the IP header on; a random length if not given",
		func(s *Settings) *int { return &s.TruncateTo }),
	choiceWord("checksum",
		"in damaged and cut packets; keep: receivers notice; repair: programs see the damage",
		func(s *Settings) *Checksum { return &s.Checksum }, "keep", "repair"),
	countWord("limit", "PACKETS",
		fmt.Sprintf("how many packets may wait before more are dropped (%d if not given)", DefaultLimit),
		func(s *Settings) *int { return &s.Limit }),
}

func durationWord(name, help string, field func(*Settings) *time.Duration) Word {
	return Word{name, "TIME", help,
		func(s *Settings, value string) error {
			d, err := ParseTime(value)
			*field(s) = d
			return err
		},
		func(s Settings) string {
			if *field(&s) == 0 {
				return ""
			}
			return field(&s).String()
		},
	}
}

// ParseTime reads a time that is not negative: 50ms, 1m30s.
func ParseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errors.New("expected a time with its unit, such as 50ms, 1.5s or 2m")
	}
	return d, nil
}

func percentWord(name, help string, field func(*Settings) *float64) Word {
	return Word{name, "PERCENT", help,
		func(s *Settings, value string) (err error) {
			*field(s), err = parsePercent(value)
			return err
		},
		func(s Settings) string {
			if *field(&s) == 0 {
				return ""
			}
			return percentText(*field(&s))
		},
	}
}

func parsePercent(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, errors.New("expected a percentage from 0% to 100%, such as 2.5%")
	}
	return v / 100, nil
}

func percentText(v float64) string { return strconv.FormatFloat(v*100, 'g', 10, 64) + "%" }

func choiceWord[T ~uint8](name, help string, field func(*Settings) *T, choices ...string) Word {
	return Word{name, strings.Join(choices, "|"), help,
		func(s *Settings, value string) error {
			i := slices.Index(choices, value)
			if i < 0 {
				return fmt.Errorf("expected %s or %s", strings.Join(choices[:len(choices)-1], ", "),
					choices[len(choices)-1])
			}
			*field(s) = T(i)
			return nil
		},
		func(s Settings) string {
			if *field(&s) == 0 {
				return ""
			}
			return choices[*field(&s)]
		},
	}
}

// String returns the word for the distribution.
func (d Distribution) String() string {
	return [...]string{"uniform", "normal", "pareto", "paretonormal"}[d]
}

func countWord(name, value, help string, field func(*Settings) *int) Word {
	return Word{name, value, help,
		func(s *Settings, value string) error {
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil || n == 0 {
				return errors.New("expected a whole number, 1 or more")
			}
			*field(s) = int(n)
			return nil
		},
		func(s Settings) string {
			if *field(&s) == 0 {
				return ""
			}
			return strconv.Itoa(*field(&s))
		},
	}
}

func setBurst(s *Settings, value string) error {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || !(v >= 1 && v <= 1e9) {
		return errors.New("expected a number of packets, 1 or more")
	}
	s.Burst = v
	return nil
}

func burstText(s Settings) string {
	if s.Burst == 0 {
		return ""
	}
	return strconv.FormatFloat(s.Burst, 'g', 10, 64)
}

func setModel(s *Settings, value string) error {
	parts := strings.Split(value, ",")
	if len(parts) > 4 {
		return errors.New("expected at most four percentages with commas between them: p,r,1-h,1-k")
	}
	m := LossModel{LossBad: 1}
	for i, p := range parts {
		v, err := parsePercent(p)
		if err != nil {
			return fmt.Errorf("%q: %w", p, err)
		}
		*[]*float64{&m.ToBad, &m.ToGood, &m.LossBad, &m.LossGood}[i] = v
	}
	if len(parts) == 1 {
		m.ToGood = 1 - m.ToBad
	}
	s.Model = m
	return nil
}

func modelText(s Settings) string {
	if s.Model == (LossModel{}) {
		return ""
	}
	m := s.Model
	return strings.Join(
		[]string{
			percentText(m.ToBad),
			percentText(m.ToGood),
			percentText(m.LossBad),
			percentText(m.LossGood),
		},
		",",
	)
}

// rateUnits are in the order in which they are tried, bare bits last.
var rateUnits = []struct {
	name string
	bits float64
}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}}

func setRate(s *Settings, value string) error {
	for _, u := range rateUnits {
		number, ok := strings.CutSuffix(strings.ToLower(value), u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v*u.bits >= 1) || v*u.bits > maxRate {
			break
		}
		s.Rate = uint64(v * u.bits)
		return nil
	}
	return errors.New(
		"expected bits per second with their unit, such as 512kbit, 10mbit or 1.5gbit, at most 1000gbit",
	)
}

func rateText(rate uint64) string {
	if rate == 0 {
		return ""
	}
	text := strconv.FormatUint(rate, 10) + "bit"
	for _, u := range rateUnits[:3] {
		if float64(rate) >= u.bits {
			text = strconv.FormatFloat(float64(rate)/u.bits, 'f', -1, 64) + u.name
		}
	}
	return text
}
