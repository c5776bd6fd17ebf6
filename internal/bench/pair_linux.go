// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// newPair makes a client and a server that queues what it receives of a transport protocol, and what it sends if both is
// set. Packets pass if nobody has bound the queue.
func newPair(protocol uint8, both bool) (*netlab.Network, error) {
	n, err := netlab.NewPair()
	if err != nil {
		return nil, err
	}
	hooks := []netlab.Hook{netlab.Input}
	if both {
		hooks = append(hooks, netlab.Output)
	}
	for _, hook := range hooks {
		chain, err := addChain(n.Server, hook)
		if err == nil {
			_, err = chain.AddRule(netlab.L4Proto(protocol), netlab.ToQueue(netlab.Queue{Bypass: true}))
		}
		if err != nil {
			_ = n.Close()
			return nil, err
		}
	}
	return n, nil
}
