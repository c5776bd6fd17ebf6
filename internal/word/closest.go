// SPDX-License-Identifier: GPL-2.0-or-later

package word

import "strings"

// Closest returns the one of the words that a mistyped word is most like, or nothing. A third of
// the letters may be wrong. Words of two letters are too short for that.
func Closest(mistyped string, words []string) string {
	mistyped = strings.ToLower(mistyped)
	best, least := "", len(mistyped)/3+1
	for _, k := range words {
		if d := distance(mistyped, k); d < least && len(k) > 2 {
			best, least = k, d
		}
	}
	return best
}

// distance returns how many letters have to be added, removed, replaced, or swapped with the next,
// to make one word of the other.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
