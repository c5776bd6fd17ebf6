// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import "slices"

// Metric is a kind of figure.
type Metric struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Less says that less is better.
	Less bool `json:"less_is_better,omitempty"`
	// Drawn says that charts show it. They always show the first of a table.
	Drawn bool `json:"drawn,omitempty"`
}

// Spread sums up the figures of several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf returns the zero Spread if there are no figures.
func spreadOf(figures []float64) Spread {
	n := len(figures)
	if n == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(figures))
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}
