// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// noQueue stands for nobody: rules that bypass an unbound queue let all packets pass.
type noQueue struct {
	tracked bool // the kernel tracks connections
}

func (n noQueue) Name() string {
	if n.tracked {
		return consumer.NoQueueName + ", connection tracking"
	}
	return consumer.NoQueueName
}

func (noQueue) Can(consumer.Setup) bool { return true }

func (n noQueue) Start(context.Context, *netlab.Host, consumer.Setup) (consumer.Running, error) {
	return n, nil
}

func (noQueue) Go() error                      { return nil }
func (noQueue) Stop() error                    { return nil }
func (noQueue) Wait() (consumer.Report, error) { return consumer.Report{}, nil }
func (noQueue) Usage() (consumer.Usage, error) { return consumer.Usage{}, nil }
func (noQueue) Close() error                   { return nil }

// variant is a consumer that is set up differently.
type variant struct {
	consumer.Consumer
	name   string // what is added to that of the consumer
	change func(*consumer.Setup)
}

func (v variant) Name() string { return v.Consumer.Name() + ", " + v.name }

func (v variant) Can(s consumer.Setup) bool {
	v.change(&s)
	return v.Consumer.Can(s)
}

func (v variant) Start(
	ctx context.Context,
	host *netlab.Host,
	s consumer.Setup,
) (consumer.Running, error) {
	v.change(&s)
	return v.Consumer.Start(ctx, host, s)
}

// tracking makes a consumer decide connections.
func tracking(c consumer.Consumer, how consumer.Connections) consumer.Consumer {
	return variant{c, "connections", func(s *consumer.Setup) { s.Connections = how }}
}

// busyPoll is how long our consumer polls where others are compared with it.
const busyPoll = 50 * time.Microsecond

// withPolling returns c, and c with busy polling if that is our usual consumer.
func withPolling(c consumer.Consumer) []consumer.Consumer {
	if c.Name() != consumer.OurName {
		return []consumer.Consumer{c}
	}
	return []consumer.Consumer{c, polling(c, busyPoll)}
}

// polling makes a consumer poll for up to limit.
func polling(c consumer.Consumer, limit time.Duration) consumer.Consumer {
	name := fmt.Sprintf("busy polling %d µs", limit.Microseconds())
	return variant{c, name, func(s *consumer.Setup) { s.BusyPoll = limit }}
}
