// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// noQueue stands for nobody: rules that bypass an unbound queue let all packets pass.
type noQueue struct{}

func (noQueue) Name() string { return noQueueName }

func (noQueue) Can(Setup) bool { return true }

func (noQueue) Start(context.Context, *netlab.Host, Setup) (Running, error) { return noQueue{}, nil }

func (noQueue) Go() error              { return nil }
func (noQueue) Stop() error            { return nil }
func (noQueue) Wait() (Report, error)  { return Report{}, nil }
func (noQueue) Resident() (int, error) { return 0, nil }
func (noQueue) Close() error           { return nil }
