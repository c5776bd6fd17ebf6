// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// drainWorkload measures a consumer that finds all its packets waiting. Nobody sends meanwhile,
// which makes it the steadiest of all.
var drainWorkload = workload{
	name:  "drain",
	title: "Packets that wait in the queue, until the last verdict",
	situations: func(l *lab) []*situation {
		var all []*situation
		for _, verdict := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
			for _, s := range []struct {
				name          string
				size, packets int
			}{
				{"64 B", 64, 50000},
				{"512 B", 512, 50000},
				{"1400 B", 1400, 20000},
				{"9000 B", 9000, 10000},
				{"64 KiB GSO", superPacket, 3000},
			} {
				if s.size == superPacket && verdict == nfqueue.Accept && !superArrives() {
					continue
				}
				d := newDrain(l, s.packets, s.size, consumer.Setup{Verdict: verdict})
				all = append(all,
					d.situation(fmt.Sprintf("%s, %v", s.name, verdict), drainMetrics, drainFigures))
			}
		}
		return all
	},
}

var drainMetrics = []figure.Metric{
	{Name: "rate", Unit: "kpps"},
	{Name: "processor time", Unit: "ns/packet", Less: true},
}

func drainFigures(r consumer.Report) []float64 {
	return []float64{r.Rate(), r.PerPacket(r.User + r.System)}
}

// drainPort is the UDP port whose packets go to queue 0. Those of the next one go to queue 1, and
// so on.
const drainPort = 9000

// One packet more for warmUp that are measured comes first, until memory has been touched and the
// schedulers, the kernel's and Go's, have come to rest.
const warmUp = 8

// drain queues packets on their way out over lo.
type drain struct {
	lab     *lab
	packets int // in each queue, if the receive buffer can hold so many
	size    int
	flows   int // see datagrams
	setup   consumer.Setup

	host    *netlab.Host
	senders []*datagrams
	closers
}

// newDrain prepares a measurement with packets of size bytes in each queue. The consumer is kept to
// one processor unless s says otherwise.
func newDrain(l *lab, packets, size int, s consumer.Setup) *drain {
	if s.CPUs == nil {
		s.CPUs = l.consumer
	}
	s.Queues = max(s.Queues, 1)
	return &drain{lab: l, packets: l.few(packets), size: size, setup: s}
}

func (d *drain) situation(
	name string,
	metrics []figure.Metric,
	figures func(consumer.Report) []float64,
) *situation {
	return &situation{
		name:    name,
		metrics: metrics,
		prepare: func(context.Context, *situation, []consumer.Consumer) error { return d.prepare() },
		can: func(c consumer.Consumer) bool {
			s := d.setup
			s.Packets = d.packets
			return c.Can(s)
		},
		run: func(ctx context.Context, c consumer.Consumer) ([]float64, error) {
			report, err := d.measure(ctx, c)
			if err != nil {
				return nil, err
			}
			return figures(report), nil
		},
		close: d.close,
	}
}

func (d *drain) prepare() (err error) {
	s := &d.setup
	if s.Packets, s.ReadBuffer, err = backlog(d.packets+d.packets/warmUp, d.size); err != nil {
		return err
	}
	s.WarmUp = s.Packets / (warmUp + 1)
	s.MaxLen = uint32(s.Packets)

	if d.host, err = netlab.New(); err != nil {
		return err
	}
	d.add(d.host.Close)
	var queued []rules.Rule
	for i := range s.Queues {
		port := uint16(drainPort + i)
		queued = append(queued, rules.Rule{
			Hook: nfqueue.HookOutput, Protocol: rules.UDP, DstPort: rules.Ports{{First: port}},
			Queue: uint16(i), NoBypass: true,
		})
		sink, err := listenSink(d.host, port)
		if err != nil {
			return err
		}
		d.add(sink)
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		sender := &datagrams{host: d.host, to: to, flows: d.flows}
		if d.size == superPacket {
			sender.segment = superStep
		}
		d.add(sender.close)
		d.senders = append(d.senders, sender)
	}
	set, err := rules.Install(rules.Config{NetNS: d.host.FD()}, queued...)
	if err != nil {
		return err
	}
	d.add(set.Close)
	return nil
}

// measure fills the queues, lets the consumer empty them, and checks what became of the packets.
func (d *drain) measure(ctx context.Context, c consumer.Consumer) (consumer.Report, error) {
	before, err := delivered(d.host)
	if err != nil {
		return consumer.Report{}, err
	}
	r, err := c.Start(ctx, d.host, d.setup)
	if err != nil {
		return consumer.Report{}, err
	}
	report, err := d.fillAndLet(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return report, err
	}
	want := d.setup.Packets * d.setup.Queues
	if report.Packets != uint64(want) {
		return report, fmt.Errorf("%d packets were decided of %d", report.Packets, want)
	}
	if d.setup.Verdict == nfqueue.Drop {
		want = 0
	}
	return report, awaitDelivered(ctx, d.host, before+want)
}

func (d *drain) fillAndLet(r consumer.Running) (consumer.Report, error) {
	for i, s := range d.senders {
		err := consumer.OnCPUs(d.lab.traffic, func() error { return s.send(d.setup.Packets, d.size) })
		if err == nil {
			err = d.checkQueued(uint16(i))
		}
		if err != nil {
			return consumer.Report{}, err
		}
	}
	if err := r.Go(); err != nil {
		return consumer.Report{}, err
	}
	return r.Wait()
}

// checkQueued makes sure that all packets wait, where the kernel tells.
func (d *drain) checkQueued(queue uint16) error {
	queues, err := netlab.In(d.host, nfqueue.KernelQueues)
	if err != nil {
		return nil // not for the eyes of a user namespace
	}
	for _, q := range queues {
		if q.Queue == queue && int(q.Backlog) != d.setup.Packets {
			return fmt.Errorf(
				"%d packets of %d wait in queue %d, %d did not fit into it and %d not into the receive buffer",
				q.Backlog,
				d.setup.Packets,
				queue,
				q.QueueDropped,
				q.UserDropped,
			)
		}
	}
	return nil
}
