// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
)

// newPair makes a client and a server that queues what the rules match. Packets pass if nobody has
// bound the queue. What is made is closed by c.
func newPair(c *closers, queued ...rules.Rule) (*netlab.Network, error) {
	n, err := netlab.NewPair()
	if err != nil {
		return nil, err
	}
	c.add(n.Close)
	set, err := rules.Install(rules.Config{NetNS: n.Server.FD()}, queued...)
	if err != nil {
		return nil, err
	}
	c.add(set.Close)
	return n, nil
}

// bothWays are rules for what a server receives of a transport protocol, and what it sends.
func bothWays(protocol rules.Protocol) []rules.Rule {
	return []rules.Rule{
		{Hook: nfqueue.HookInput, Protocol: protocol},
		{Hook: nfqueue.HookOutput, Protocol: protocol},
	}
}
