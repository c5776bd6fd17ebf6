// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// wrong is a consumer that does something else than it is told, or tells something else than it
// did.
type wrong struct {
	consumer.Consumer
	change func(*consumer.Setup)
	report func(*consumer.Report)
}

func (w wrong) Start(
	ctx context.Context,
	host *netlab.Host,
	s consumer.Setup,
) (consumer.Running, error) {
	if w.change != nil {
		w.change(&s)
	}
	r, err := w.Consumer.Start(ctx, host, s)
	if err != nil {
		return nil, err
	}
	return wrongRunning{r, w.report}, nil
}

type wrongRunning struct {
	consumer.Running
	report func(*consumer.Report)
}

func (w wrongRunning) Wait() (consumer.Report, error) {
	r, err := w.Running.Wait()
	if w.report != nil {
		w.report(&r)
	}
	return r, err
}

func TestWrongConsumers(t *testing.T) {
	labtest.Need(t)
	accept := func(s *consumer.Setup) { s.Verdict = nfqueue.Accept }
	for _, c := range []struct {
		name, workload, want string
		consumer             wrong
	}{
		{"accepts instead of dropping", "drain", "packets have arrived", wrong{change: accept}},
		{"decides too few", "drain", "were decided of",
			wrong{report: func(r *consumer.Report) { r.Packets-- }}},
		{"cannot keep all", "drain", "wait in queue",
			wrong{change: func(s *consumer.Setup) { s.MaxLen /= 2 }}},
		{"accepts a flood instead of dropping it", "flood", "packets have arrived",
			wrong{change: accept}},
		{"sees nothing", "tcp", "no packets were decided",
			wrong{change: func(s *consumer.Setup) { s.Queue = 7 }}},
		{"sees no ping", "latency", "round trips", wrong{change: func(s *consumer.Setup) { s.Queue = 7 }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "wait in queue" {
				if _, err := nfqueue.KernelQueues(); errors.Is(err, fs.ErrPermission) {
					return // who may not see the queues cannot check them
				}
			}
			c.consumer.Consumer = self(t)
			_, err := Run(
				t.Context(),
				Options{
					Consumers: []consumer.Consumer{c.consumer},
					Workloads: []string{c.workload},
					Rounds:    1,
					Short:     true,
					Progress:  t.Output(),
				},
			)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for want, o := range map[string]Options{
		`"drian" is not one of drain, flood`: {Workloads: []string{"drain", "drian"}, Rounds: 1},
		"0 rounds":                           {Workloads: []string{"drain"}},
	} {
		results, err := Run(t.Context(), o)
		if results != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("results %v, error %v, want %q", results, err, want)
		}
	}
}
