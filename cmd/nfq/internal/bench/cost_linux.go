// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
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
			newDrain(l, 50000, 64, allocating).situation("64 B, accept", []figure.Metric{
				{Name: "allocations", Unit: "per 1000 packets", Less: true},
			}, func(r consumer.Report) []float64 { return []float64{float64(r.Mallocs) / float64(r.Measured) * 1e3} }),
			newMemory(),
		}
	},
}
