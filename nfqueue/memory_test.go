// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "github.com/chifflier/nfqueue-go/nfqueuetest"

// InitInMemory is q.Init with a kernel in memory, for the examples.
func InitInMemory(q *Queue, k *nfqueuetest.Kernel) error {
	q.open = k.Open
	return nil
}
