// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// newPair makes a client and a server that queues what it receives of a transport protocol, and
// what it sends if both is set. Packets pass if nobody has bound the queue. What is made is closed
// by c.
func newPair(c *closers, protocol rules.Protocol, both bool) (*netlab.Network, error) {
	n, err := netlab.NewPair()
	if err != nil {
		return nil, err
	}
	c.add(n.Close)
	queued := []rules.Rule{{Hook: nfqueue.HookInput, Protocol: protocol}}
	if both {
		queued = append(queued, rules.Rule{Hook: nfqueue.HookOutput, Protocol: protocol})
	}
	set, err := rules.Install(rules.Config{NetNS: n.Server.FD()}, queued...)
	if err != nil {
		return nil, err
	}
	c.add(set.Close)
	return n, nil
}
