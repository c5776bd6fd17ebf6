// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
)

// scalingWorkload measures how the rate depends on what can be chosen. Consumers that cannot choose
// are left out.
var scalingWorkload = workload{
	name:  "scaling",
	title: "Waiting packets of 64 B, by number of queues, batch size, time taken by the handler, and packets held",
	situations: func(l *lab) []*situation {
		var all []*situation
		add := func(name string, packets int, s consumer.Setup) {
			all = append(all, newDrain(l, packets, 64, s).situation(name, drainMetrics, drainFigures))
		}
		for _, queues := range []int{1, 2} {
			name := "1 queue on 1 processor"
			if queues > 1 {
				name = fmt.Sprintf("%d queues on %d processors", queues, min(queues, len(l.all)))
			}
			add(
				name,
				50000/queues,
				consumer.Setup{
					Verdict: nfqueue.Accept,
					Queues:  queues,
					CPUs:    l.all[:min(queues, len(l.all))],
				},
			)
		}
		for _, batch := range []int{1, 4, 16, 64, 256} {
			add(fmt.Sprintf("batch of %d, drop", batch), 50000,
				consumer.Setup{Verdict: nfqueue.Drop, Batch: batch})
		}
		for _, work := range []time.Duration{time.Microsecond, 10 * time.Microsecond,
			100 * time.Microsecond} {
			add(fmt.Sprintf("handler takes %v, drop", work), int(min(50000, 200*time.Millisecond/work)),
				consumer.Setup{Verdict: nfqueue.Drop, Work: work})
		}
		for _, hold := range []int{16, 256, 4096, 50000} {
			add(fmt.Sprintf("%d held and decided newest first, drop", hold), 50000,
				consumer.Setup{Verdict: nfqueue.Drop, Hold: hold})
		}
		return all
	},
}
