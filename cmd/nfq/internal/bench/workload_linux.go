// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/affinity"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
)

// workload is a kind of traffic that consumers are measured with.
type workload struct {
	name  string
	title string
	// baseline means that the run without a queue is measured too.
	baseline bool
	// situations prepares what is measured one after the other.
	situations func(*lab) []*situation
}

// situation is one set of circumstances in which consumers are measured in turn.
type situation struct {
	name string
	// metrics are the figures of a run. The first is the one that consumers are compared by.
	metrics []figure.Metric
	// can says which consumers take part.
	can func(consumer.Consumer) bool
	// variants returns the consumers to measure for one; nil measures that.
	variants func(consumer.Consumer) []consumer.Consumer
	// prepare makes what run needs. It may complete the name.
	prepare func(context.Context, *situation, []consumer.Consumer) error
	// run measures a consumer: one figure for each metric.
	run func(context.Context, consumer.Consumer) ([]float64, error)
	// close gets rid of what prepare made, also if that failed.
	close func() error
}

// lab is what the machine offers.
type lab struct {
	short bool
	// consumer and traffic are the processors of the one consumer, and of what sends to it. They
	// are the same where there is only one.
	consumer, traffic []int
	all               []int
}

func newLab(short bool) (*lab, error) {
	cpus, err := affinity.Allowed()
	if err != nil {
		return nil, err
	}
	n := len(cpus)
	l := &lab{short: short, all: cpus, consumer: cpus[n-1:], traffic: cpus[:n-1]}
	if n == 1 {
		l.traffic = cpus
	}
	return l, nil
}

// few returns n packets, or in a short run a part of them.
func (l *lab) few(n int) int {
	if l.short {
		return max(1, n/10)
	}
	return n
}

// while returns how long to measure where there is no number of packets.
func (l *lab) while() time.Duration {
	if l.short {
		return 100 * time.Millisecond
	}
	return time.Second
}

// closers are what is to be done in the end, the last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f())
	}
	*c = nil
	return errors.Join(errs...)
}

// workloads are all there are, in the order in which they are run.
var workloads = []*workload{
	&drainWorkload,
	&floodWorkload,
	&latencyWorkload,
	&busyPollWorkload,
	&tcpWorkload,
	&connectionsWorkload,
	&costWorkload,
	&scalingWorkload,
}
