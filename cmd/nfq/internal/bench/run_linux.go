// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
)

// Options say what to measure.
type Options struct {
	// Consumers are measured in turn, in each round in this order.
	Consumers []consumer.Consumer
	// Workloads are the names of those to run, all if there are none.
	Workloads []string
	// Rounds is how often each figure is taken.
	Rounds int
	// Short runs everything with a fraction of the packets and of the time, to see that it works.
	Short bool
	// Progress is told what is being measured.
	Progress io.Writer
}

// Workload describes a kind of traffic that consumers are measured with.
type Workload struct{ Name, Title string }

// Workloads returns all there are, in the order in which they are run.
func Workloads() []Workload {
	var all []Workload
	for _, w := range workloads {
		all = append(all, Workload{w.name, w.title})
	}
	return all
}

// Check finds mistakes in o.
func (o Options) Check() error {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	for _, name := range o.Workloads {
		if !slices.Contains(names, name) {
			return fmt.Errorf("workload %q is not one of %s", name, strings.Join(names, ", "))
		}
	}
	if o.Rounds < 1 {
		return fmt.Errorf("%d rounds are too few, want 1 or more", o.Rounds)
	}
	return nil
}

// Run measures. The caller needs what netlab.Enter provides. Rounds are interleaved: all consumers
// once, then all again, so that whatever else the machine does is spread over all of them. An error
// comes with the results so far.
func Run(ctx context.Context, o Options) (*figure.Results, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	l, err := newLab(o.Short)
	if err != nil {
		return nil, err
	}
	results := &figure.Results{
		Started: time.Now(),
		Machine: thisMachine(len(l.all)),
		Rounds:  o.Rounds,
	}
	for _, w := range workloads {
		if len(o.Workloads) > 0 && !slices.Contains(o.Workloads, w.name) {
			continue
		}
		for _, s := range w.situations(l) {
			table, err := o.compare(ctx, w, s)
			if err != nil {
				return results, fmt.Errorf("%s, %s: %w", w.name, s.name, err)
			}
			if len(table.Rows) > 0 {
				results.Tables = append(results.Tables, table)
			}
		}
	}
	return results, nil
}

// compare measures all consumers in one situation.
func (o Options) compare(
	ctx context.Context,
	w *workload,
	s *situation,
) (table *figure.Table, err error) {
	consumers := o.Consumers
	if s.variants != nil {
		var all []consumer.Consumer
		for _, c := range consumers {
			all = append(all, s.variants(c)...)
		}
		consumers = all
	}
	if w.baseline {
		consumers = append([]consumer.Consumer{noQueue{}}, consumers...)
	}
	consumers = slices.DeleteFunc(slices.Clone(consumers),
		func(c consumer.Consumer) bool { return !s.can(c) })
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.prepare(ctx, s, consumers); err != nil {
		return nil, err
	}
	table = &figure.Table{Workload: w.name, Title: w.title, Situation: s.name, Metrics: s.metrics}
	for _, c := range consumers {
		table.Rows = append(table.Rows, &figure.Row{Consumer: c.Name()})
	}
	for round := range o.Rounds {
		_, _ = fmt.Fprintf(o.Progress, "%s, %s, round %d of %d\n", w.name, s.name, round+1, o.Rounds)
		for i, c := range consumers {
			runtime.GC() // not while something is measured
			figures, err := runLimited(ctx, s, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name(), err)
			}
			table.Rows[i].Add(figures)
		}
	}
	return table, nil
}

// runLimit bounds one run of one consumer.
const runLimit = time.Minute

// runLimited measures once. An end by ctx or the limit shows in the error.
func runLimited(ctx context.Context, s *situation, c consumer.Consumer) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	figures, err := s.run(ctx, c)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return figures, err
}
