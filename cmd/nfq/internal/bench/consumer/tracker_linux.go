// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/rules"
)

// track returns a handler that leaves the decision to t.
func (h *handler) track(t *connection.Tracker) nfqueue.HandlerFunc {
	return func(p *nfqueue.Packet) nfqueue.Verdict {
		verdict := t.ServePacket(p)
		h.decide(p)
		return verdict
	}
}

// newTracker makes a tracker that answers as s says.
func newTracker(s Setup) *connection.Tracker {
	cfg := connection.Config{MaxConns: s.MaxConns, Timeout: time.Hour}
	if s.MaxConns == 0 {
		cfg.MaxConns = 1 << 20
	}
	if s.Connections == Offloaded {
		cfg.Offload = rules.DefaultOffload
	}
	answer := connection.Accept
	if s.Verdict == nfqueue.Drop {
		answer = connection.Drop
	}
	return connection.New(cfg, connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
		if s.Connections == Undecided || c.News()&connection.Data == 0 {
			return connection.More
		}
		return answer
	}))
}
