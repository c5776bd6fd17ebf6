// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// connectionsWorkload measures what deciding connections costs, and what the kernel does
// with those that are decided.
var connectionsWorkload = workload{
	name:     "connections",
	title:    "Connections decided by their first data",
	baseline: true,
	situations: func(l *lab) []*situation {
		return []*situation{
			newOffload(l, 1, "1 TCP stream, accepted and offloaded"),
			newOffload(l, 8, "8 TCP streams, accepted and offloaded"),
			newKnown(l),
			newUndecided(l),
		}
	},
}

// offload measures transfers over connections that are accepted with their first data. Its
// rules are there for the consumer only. One run without a queue has neither those nor connection
// tracking, another has connection tracking, which offload needs.
type offload struct{ transfer }

func newOffload(l *lab, streams int, name string) *situation {
	// Long enough for the beginning, which comes to the queue, to count little.
	lasts := l.while() * 5 / 2
	o := &offload{transfer{setup: consumer.Usual, streams: streams, lasts: lasts}}
	return &situation{
		name: name,
		metrics: []figure.Metric{
			{Name: "throughput", Unit: "Gbit/s"},
			{Name: "decided", Unit: "kpps"},
			{Name: "processor time", Unit: "ns/kB", Less: true},
		},
		variants: func(c consumer.Consumer) []consumer.Consumer {
			offloading := tracking(c, consumer.Offloaded)
			if c.Name() != consumer.OurName {
				return []consumer.Consumer{offloading}
			}
			return []consumer.Consumer{noQueue{tracked: true}, offloading}
		},
		prepare: func(context.Context, *situation, []consumer.Consumer) error { return o.prepare() },
		can:     func(c consumer.Consumer) bool { return c.Can(o.setup) },
		run:     o.run,
		close:   o.close,
	}
}

func (o *offload) prepare() (err error) {
	if o.net, err = netlab.NewPair(); err != nil {
		return err
	}
	o.add(o.net.Close)
	return o.startServer()
}

func (o *offload) run(ctx context.Context, c consumer.Consumer) (figures []float64, err error) {
	tcp := rules.Rule{Protocol: rules.TCP, Offload: rules.DefaultOffload}
	n, none := c.(noQueue)
	if n.tracked { // by rules that match nothing
		tcp = rules.Rule{Protocol: rules.TCP, CTState: rules.CTUntracked}
	}
	if !none || n.tracked {
		in, out := tcp, tcp
		in.Hook, out.Hook = nfqueue.HookInput, nfqueue.HookOutput
		set, err := rules.Install(rules.Config{NetNS: o.net.Server.FD()}, in, out)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, set.Close()) }()
	}
	return o.transfer.run(ctx, c)
}

// knownFlows is how many connections the packets of a drain belong to.
const knownFlows = 1000

// newKnown compares a handler that decides connections with one that decides packets. The
// connections are known by the end of the warm-up.
func newKnown(l *lab) *situation {
	d := newDrain(l, 50000, 64, consumer.Setup{Verdict: nfqueue.Accept})
	d.flows = l.few(knownFlows)
	name := fmt.Sprintf("64 B of %d known connections, accept", d.flows)
	metrics := append(slices.Clip(drainMetrics), allocations)
	s := d.situation(name, metrics, func(r consumer.Report) []float64 {
		return append(drainFigures(r), allocated(r))
	})
	can := s.can
	s.can = func(c consumer.Consumer) bool { _, none := c.(noQueue); return !none && can(c) }
	s.variants = func(c consumer.Consumer) []consumer.Consumer {
		if t := tracking(c, consumer.FirstData); t.Can(consumer.Setup{Packets: 1}) {
			return []consumer.Consumer{c, t}
		}
		return nil
	}
	return s
}
