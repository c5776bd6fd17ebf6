// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// floodWorkload measures a consumer that is sent as many small packets as another processor can
// send.
var floodWorkload = workload{
	name:  "flood",
	title: "More packets than can be decided",
	situations: func(l *lab) []*situation {
		var all []*situation
		for _, verdict := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
			f := &flood{lab: l, setup: consumer.Usual}
			f.setup.Verdict, f.setup.CPUs = verdict, l.consumer
			// The sender's super-packets are cut when they are queued: no sender could make so many
			// small ones.
			f.setup.NoGSO = true
			all = append(all, &situation{
				name: fmt.Sprintf("64 B, %v", verdict),
				metrics: []figure.Metric{
					{Name: "rate", Unit: "kpps"},
					{Name: "offered", Unit: "kpps"},
					{Name: "lost", Unit: "%", Less: true},
					{Name: "processor time", Unit: "ns/packet", Less: true},
				},
				prepare: func(context.Context, *situation, []consumer.Consumer) error { return f.prepare() },
				can:     func(c consumer.Consumer) bool { return c.Can(f.setup) },
				run:     f.run,
				close:   f.close,
			})
		}
		return all
	},
}

const (
	floodPort    = 9000
	floodSegment = 64 - udpHeaders
	floodBatch   = 64 // segments in a super-packet, UDP_MAX_SEGMENTS before Linux 6.10
)

type flood struct {
	lab   *lab
	setup consumer.Setup

	server *netlab.Host
	sender *datagrams
	closers
}

func (f *flood) prepare() error {
	n, err := newPair(&f.closers, rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.UDP})
	if err != nil {
		return err
	}
	sink, err := listenSink(n.Server, floodPort)
	if err != nil {
		return err
	}
	f.add(sink)
	f.server = n.Server
	f.sender = &datagrams{
		host:    n.Client,
		to:      netip.AddrPortFrom(n.Server4, floodPort),
		segment: floodSegment,
	}
	f.add(f.sender.close)
	return nil
}

func (f *flood) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	before, err := delivered(f.server)
	if err != nil {
		return nil, err
	}
	r, err := c.Start(ctx, f.server, f.setup)
	if err != nil {
		return nil, err
	}
	var sent int
	var took time.Duration
	err = r.Go()
	if err == nil {
		sent, took, err = f.send()
	}
	var report consumer.Report
	if err == nil {
		report, err = stopped(r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	decided := int(report.Packets)
	if decided == 0 || decided > sent {
		return nil, fmt.Errorf("%d packets were decided of %d", decided, sent)
	}
	want := before
	if f.setup.Verdict == nfqueue.Accept {
		want += decided
	}
	return []float64{
		float64(decided) / took.Seconds() / 1e3,
		float64(sent) / took.Seconds() / 1e3,
		100 * float64(sent-decided) / float64(sent),
		report.PerPacket(report.User + report.System),
	}, awaitDelivered(ctx, f.server, want)
}

// send sends for a while and returns the number of packets.
func (f *flood) send() (packets int, took time.Duration, err error) {
	payload := make([]byte, floodBatch*floodSegment)
	err = f.sender.host.Do(func() error {
		return consumer.OnCPUs(f.lab.traffic, func() error {
			for start := time.Now(); took < f.lab.while(); took = time.Since(start) {
				if err := f.sender.sendOne(payload); err != nil {
					return err
				}
				packets += floodBatch
			}
			return nil
		})
	})
	return packets, took, err
}

// stopped stops a consumer and returns its report.
func stopped(r consumer.Running) (consumer.Report, error) {
	if err := r.Stop(); err != nil {
		return consumer.Report{}, err
	}
	return r.Wait()
}
