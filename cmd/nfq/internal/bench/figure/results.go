// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import "time"

// Results are the outcome of Run.
type Results struct {
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Rounds  int       `json:"rounds"`
	Tables  []*Table  `json:"tables"`
}

// Machine is where it ran.
type Machine struct {
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`
	Processor    string `json:"processor,omitempty"`
	CPUs         int    `json:"cpus"`
	Go           string `json:"go"`
}

// Table compares consumers in one situation.
type Table struct {
	Workload  string   `json:"workload"`
	Title     string   `json:"title"`
	Situation string   `json:"situation"`
	Metrics   []Metric `json:"metrics"`
	Rows      []*Row   `json:"rows"`
}

// Row is one consumer.
type Row struct {
	Consumer string `json:"consumer"`
	// Rounds holds the figures of each round, one for each metric.
	Rounds [][]float64 `json:"rounds"`
	// Spreads sums them up, one for each metric.
	Spreads []Spread `json:"spreads"`
}

// Add adds the figures of a round.
func (r *Row) Add(figures []float64) {
	r.Rounds = append(r.Rounds, figures)
	r.Spreads = r.Spreads[:0]
	for m := range figures {
		column := make([]float64, len(r.Rounds))
		for i, round := range r.Rounds {
			column[i] = round[m]
		}
		r.Spreads = append(r.Spreads, spreadOf(column))
	}
}

// RowOf returns the row of a consumer, nil if there is none.
func (t *Table) RowOf(consumer string) *Row {
	for _, r := range t.Rows {
		if r.Consumer == consumer {
			return r
		}
	}
	return nil
}

// ratio returns how many times a consumer does as well as a reference, going by the medians of the
// first metric; ok is false if one of them was not measured.
func (t *Table) ratio(consumer, reference string) (times float64, ok bool) {
	a, b := t.RowOf(consumer), t.RowOf(reference)
	if a == nil || b == nil || len(a.Spreads) == 0 || len(b.Spreads) == 0 {
		return 0, false
	}
	x, y := a.Spreads[0].Median, b.Spreads[0].Median
	if t.Metrics[0].Less {
		x, y = y, x
	}
	return x / y, y != 0
}
