// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import "github.com/chifflier/nfqueue-go/cmd/nfq/internal/affinity"

// OnCPUs runs fn on a thread that may run only on the given processors, as may the processes that
// fn starts. No processors mean no restriction.
func OnCPUs(cpus []int, fn func() error) error {
	if len(cpus) == 0 {
		return fn()
	}
	unpin, err := affinity.Pin(cpus)
	if err != nil {
		return err
	}
	defer unpin()
	return fn()
}
