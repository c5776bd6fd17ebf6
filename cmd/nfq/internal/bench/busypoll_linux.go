// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
)

// busyPollWorkload measures what busy polling gains and costs, by how long a queue is polled and
// how often packets come.
var busyPollWorkload = workload{
	name:  "busypoll",
	title: "Round trips and processor time by how long a queue is polled",
	situations: func(l *lab) []*situation {
		setup := consumer.Usual
		setup.CPUs = l.consumer
		var all []*situation
		for _, pause := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond} {
			name := "one round trip after the other"
			if pause > 0 {
				name = fmt.Sprintf("%d µs between round trips", pause.Microseconds())
			}
			s := (&latency{lab: l, setup: setup, pause: pause}).situation(name)
			s.variants = pollingTimes
			for i, m := range s.metrics {
				s.metrics[i].Drawn = m.Name == "processor time"
			}
			all = append(all, s)
		}
		return all
	},
}

// pollingTimes returns our usual consumer with longer and longer polling, and none for others.
func pollingTimes(c consumer.Consumer) []consumer.Consumer {
	if c.Name() != consumer.OurName {
		return nil
	}
	all := []consumer.Consumer{c}
	for _, limit := range []time.Duration{10, 20, 50, 100, 200} {
		all = append(all, polling(c, limit*time.Microsecond))
	}
	return all
}
