// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// noQueue stands for nobody: rules that bypass an unbound queue let all packets pass.
type noQueue struct{}

func (noQueue) Name() string { return consumer.NoQueueName }

func (noQueue) Can(consumer.Setup) bool { return true }

func (noQueue) Start(context.Context, *netlab.Host, consumer.Setup) (consumer.Running, error) {
	return noQueue{}, nil
}

func (noQueue) Go() error                      { return nil }
func (noQueue) Stop() error                    { return nil }
func (noQueue) Wait() (consumer.Report, error) { return consumer.Report{}, nil }
func (noQueue) Resident() (int, error)         { return 0, nil }
func (noQueue) Close() error                   { return nil }
