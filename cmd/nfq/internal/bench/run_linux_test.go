// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// The workloads check themselves that the far end has received what the verdicts allow.
func TestWorkloads(t *testing.T) {
	labtest.Need(t)
	for _, w := range Workloads() {
		if testing.Short() && w.Name != "drain" {
			continue // the others take as long as they are given
		}
		t.Run(w.Name, func(t *testing.T) {
			r, err := Run(t.Context(), Options{
				Consumers: []consumer.Consumer{self(t), consumer.InProcess{}},
				Workloads: []string{w.Name},
				Rounds:    1,
				Short:     true,
				Progress:  t.Output(),
			})
			labtest.Must(t, err)
			if len(r.Tables) == 0 {
				t.Error("nothing was measured")
			}
			for _, table := range r.Tables {
				for _, row := range table.Rows {
					if len(row.Rounds) != 1 || len(row.Spreads) != len(table.Metrics) ||
						row.Spreads[0].Median < 0 {
						t.Errorf("%s, %s: %s: %v", table.Workload, table.Situation, row.Consumer, row.Rounds)
					}
				}
			}
			labtest.Must(t, r.WriteText(t.Output()))
			switch w.Name {
			case "latency":
				checkLatency(t, r)
			case "connections":
				checkConnections(t, r)
			}
		})
	}
}

// checkLatency makes sure that all situations compare a consumer with and without busy polling, and
// that none of them uses a processor once packets have stopped coming.
func checkLatency(t *testing.T, r *figure.Results) {
	t.Helper()
	if len(r.Tables) != 7 {
		t.Errorf("%d situations, want 7", len(r.Tables))
	}
	for _, table := range r.Tables {
		for _, name := range []string{consumer.OurName, consumer.OurName + ", busy polling 50 µs"} {
			row := table.RowOf(name)
			if row == nil {
				t.Errorf("%s: no row for %s", table.Situation, name)
				continue
			}
			// A queue that was polled on would use all of every second.
			if used := row.Spreads[0].Median; table.Situation == "after the last packet" && used > 1e5 {
				t.Errorf("%s used %.0f µs of a second, want next to nothing", name, used)
			}
		}
	}
}

// checkConnections makes sure that a short run says how many connections it had, and that nothing
// is allocated for packets of known ones.
func checkConnections(t *testing.T, r *figure.Results) {
	t.Helper()
	checked := 0
	for _, table := range r.Tables {
		switch table.Situation {
		case "64 B of 100 known connections, accept":
			checked++
			at := slices.Index(table.Metrics, allocations)
			row := table.RowOf(consumer.OurName + ", connections")
			if at < 0 || row == nil || row.Spreads[at].Median > 100 { // the runtime has some
				t.Errorf("%s: %v of %v", table.Situation, row, table.Metrics)
			}
		case "20000 undecided connections":
			checked++
		}
	}
	if checked != 2 {
		t.Errorf("%d of 2 situations are there", checked)
	}
}
