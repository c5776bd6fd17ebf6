// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// Way is one of the directions of a session.
type Way uint8

// The ways.
const (
	There Way = iota // what the rules match
	Back             // the answers
)

// String returns the word for the way.
func (w Way) String() string { return [...]string{"there", "back"}[w] }

// Step is a change of settings.
type Step struct {
	At       time.Duration // since the start
	Ways     []Way
	Settings Settings
}

// Schedule is changes of settings in the order of their times.
type Schedule []Step

// of returns the settings for a way.
func (s Schedule) of(number Way) []Settings {
	var all []Settings
	for _, step := range s {
		if slices.Contains(step.Ways, number) {
			all = append(all, step.Settings)
		}
	}
	return all
}

// ScheduleError says what is wrong in a schedule.
type ScheduleError struct {
	Name string // of the file
	Line int    // from 1
	Pos  int    // where the word starts in the line, in bytes
	Word string // empty if one is missing
	Err  error
}

// Error points at the word and says what was expected.
func (e *ScheduleError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("%s:%d: at the end of the line: %v", e.Name, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: at %q (column %d): %v", e.Name, e.Line, e.Word, e.Pos+1, e.Err)
}

// Unwrap returns what was expected.
func (e *ScheduleError) Unwrap() error { return e.Err }

// ParseSchedule reads a schedule, of which each line is a time since the start and the settings
// from then on:
//
//	# a comment
//	0s   delay 20ms
//	10s  delay 100ms loss 5% burst 3
//	20s  back rate 1mbit
//	30s  nothing
//
// A line replaces all earlier settings, of both ways unless it names one. name is the file's name,
// for errors. An error is a *ScheduleError, except for one from reading.
func ParseSchedule(name string, r io.Reader) (Schedule, error) {
	var all Schedule
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := word.Split(text)
		if len(words) == 0 {
			continue
		}
		step, at, err := parseStep(words)
		if err == nil && len(all) > 0 && step.At < all[len(all)-1].At {
			at, err = words[0], fmt.Errorf("expected a time not before that of the line above, %v",
				all[len(all)-1].At)
		}
		if err != nil {
			return nil, &ScheduleError{Name: name, Line: n, Pos: at.Pos, Word: at.Text, Err: err}
		}
		all = append(all, step)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf(
			"%s: the schedule is empty; want lines such as \"10s loss 5%% delay 100ms\"",
			name,
		)
	}
	return all, nil
}

// parseStep reads a line. With an error it returns the word that is wrong.
func parseStep(words []word.Word) (Step, word.Word, error) {
	at, err := ParseTime(words[0].Text)
	if err != nil {
		return Step{}, words[0], err
	}
	step := Step{At: at, Ways: []Way{There, Back}}
	rest := words[1:]
	if len(rest) > 0 {
		for _, way := range step.Ways {
			if rest[0].Text == way.String() {
				step.Ways, rest = []Way{way}, rest[1:]
				break
			}
		}
	}
	var bad word.Word
	step.Settings, bad, err = parseSettings(rest)
	return step, bad, err
}
