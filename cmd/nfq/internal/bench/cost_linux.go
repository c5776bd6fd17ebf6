// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"net/netip"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// costWorkload measures what a consumer takes of the machine.
var costWorkload = workload{
	name:  "cost",
	title: "Processor time, allocations and memory",
	situations: func(l *lab) []*situation {
		accept := consumer.Setup{Verdict: nfqueue.Accept}
		allocating := accept
		allocating.Batch = nfqueue.DefaultBatch // for those that can tell
		return []*situation{
			newDrain(l, 50000, 64, accept).situation("64 B, accept", []figure.Metric{
				{Name: "processor time", Unit: "ns/packet", Less: true},
				{Name: "user", Unit: "ns/packet", Less: true},
				{Name: "system", Unit: "ns/packet", Less: true},
			}, func(r consumer.Report) []float64 {
				return []float64{
					r.PerPacket(r.User + r.System),
					r.PerPacket(r.User),
					r.PerPacket(r.System),
				}
			}),
			newDrain(l, 50000, 64, allocating).situation("64 B, accept", []figure.Metric{allocations},
				func(r consumer.Report) []float64 { return []float64{allocated(r)} }),
			newMemory(),
		}
	},
}

var allocations = figure.Metric{Name: "allocations", Unit: "per 1000 packets", Less: true}

func allocated(r consumer.Report) float64 { return float64(r.Mallocs) / float64(r.Measured) * 1e3 }

// memory measures what processes with open queues keep in memory.
type memory struct {
	host   *netlab.Host
	sender *datagrams
	closers
}

const (
	manyQueues = 16
	// memoryPackets are enough to touch all that a receive batch can touch.
	memoryPackets = 256
)

func newMemory() *situation {
	m := &memory{}
	return &situation{
		name: "resident memory",
		metrics: []figure.Metric{
			{Name: "added by a queue", Unit: "MiB", Less: true},
			{Name: "by one full of 64 KiB packets", Unit: "MiB", Less: true},
			{Name: "all of a process with one", Unit: "MiB", Less: true},
		},
		prepare: func(context.Context, *situation, []consumer.Consumer) error { return m.prepare() },
		can: func(c consumer.Consumer) bool {
			_, here := c.(consumer.InProcess)
			return !here && superArrives() && c.Can(consumer.Setup{Packets: memoryPackets})
		},
		run:   m.run,
		close: m.close,
	}
}

func (m *memory) prepare() (err error) {
	if m.host, err = m.queueingHost(); err != nil {
		return err
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), drainPort)
	m.sender = &datagrams{host: m.host, to: to, segment: superStep}
	m.add(m.sender.close)
	return nil
}

func (m *memory) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	one, used, err := m.resident(ctx, c, 1)
	if err != nil {
		return nil, err
	}
	many, _, err := m.resident(ctx, c, manyQueues)
	const mib = 1 << 20
	added := float64(many-one) / (manyQueues - 1) / mib
	return []float64{added, added + float64(used-one)/mib, float64(one) / mib}, err
}

// resident returns the memory of a consumer with open queues, and of the same after one has had
// packets.
func (m *memory) resident(
	ctx context.Context,
	c consumer.Consumer,
	queues int,
) (fresh, used int, err error) {
	before, err := delivered(m.host)
	if err != nil {
		return 0, 0, err
	}
	packets, buffer, err := backlog(memoryPackets, superPacket)
	if err != nil {
		return 0, 0, err
	}
	r, err := c.Start(
		ctx,
		m.host,
		consumer.Setup{
			Queues:     queues,
			Verdict:    nfqueue.Accept,
			MaxLen:     nfqueue.DefaultMaxLen,
			ReadBuffer: buffer,
		},
	)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	first, err := r.Usage()
	if err != nil {
		return 0, 0, err
	}
	// All packets wait when the consumer starts, and come in whole batches.
	if err := m.sender.send(packets, superPacket); err != nil {
		return 0, 0, err
	}
	if err := r.Go(); err != nil {
		return 0, 0, err
	}
	if err := awaitDelivered(ctx, m.host, before+packets); err != nil {
		return 0, 0, err
	}
	last, err := r.Usage()
	if err != nil {
		return 0, 0, err
	}
	_, err = stopped(r)
	return first.Resident, last.Resident, err
}
