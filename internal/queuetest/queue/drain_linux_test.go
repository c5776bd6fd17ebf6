// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestDrainWithSlowHandler: a drain hands every packet to its handler, also if handlers take longer
// than the kernel's reply.
func TestDrainWithSlowHandler(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d handlers", n), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			const packets = 7
			q := queued(t, lab, packets, nfqueue.Config{Batch: 1})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := q.ServeFlows(ctx, n, queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict {
				time.Sleep(120 * time.Millisecond) // the work of the handler
				return nfqueue.Accept
			})); err != nil {
				t.Error(err)
			}
			for i := range packets {
				lab.Out(t, fmt.Sprint(i))
			}
			if s := q.Stats(); s.Accepted != packets || s.Fallback != (nfqueue.FallbackStats{}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFlowsOutOfTime: when the time for draining is over, packets that wait for a busy
// worker get the Fallback. The end of so short a time may come late.
func TestFlowsOutOfTime(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	const packets = 100
	q := queued(t, lab, packets, nfqueue.Config{Fallback: nfqueue.Accept,
		DrainTimeout: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.ServeFlows(ctx, 2, queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict {
		time.Sleep(2 * time.Millisecond) // the work of the handler
		return nfqueue.Accept
	})); err != nil {
		t.Error(err)
	}
	for i := range packets {
		lab.Out(t, fmt.Sprint(i))
	}
	if s := q.Stats(); s.Accepted != packets || s.Fallback.Shutdown < packets-16 {
		t.Errorf("%+v", s)
	}
}
