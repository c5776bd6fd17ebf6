// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// The programs in C do what the workloads check, as far as they can be compiled here.
func TestPeers(t *testing.T) {
	labtest.Need(t)
	dir := t.TempDir()
	missing := consumer.Build(t.Context(), dir)
	consumers, err := consumer.Peers(dir)
	if err != nil {
		t.Skip("no programs to compare with:", missing)
	}
	t.Log("not built:", missing)
	r, err := Run(
		t.Context(),
		Options{
			Consumers: consumers,
			Workloads: []string{"drain", "flood", "latency", "cost"},
			Rounds:    1,
			Short:     true,
			Progress:  t.Output(),
		},
	)
	labtest.Must(t, err)
	for _, c := range consumers {
		if !c.Can(consumer.Setup{Packets: 1}) {
			continue
		}
		for _, table := range r.Tables {
			if table.Workload == "drain" && table.RowOf(c.Name()) == nil {
				t.Errorf("%s was not measured with %s", c.Name(), table.Situation)
			}
		}
	}
}

func TestNoPeers(t *testing.T) {
	if found, err := consumer.Peers(t.TempDir()); err == nil {
		t.Errorf("found %v in an empty directory", found)
	}
}
