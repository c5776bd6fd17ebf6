// SPDX-License-Identifier: GPL-2.0-or-later

package dump

import (
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/owner"
)

// Processes finds the processes behind packets. It asks once a second for each flow.
type Processes struct {
	finder owner.Finder

	mu    sync.Mutex
	known map[nfqueue.Flow]answer
}

type answer struct {
	at        time.Time
	processes []owner.Process
}

// NewProcesses returns what finds processes by the sockets of a network namespace, given as in
// nfqueue.Config.
func NewProcesses(netNS int) *Processes {
	return &Processes{finder: owner.Finder{NetNS: netNS}, known: make(map[nfqueue.Flow]answer)}
}

// Bounds of what Processes remembers.
const (
	maxKnown   = 4096
	maxAnswers = time.Second
)

// Of returns the processes that send a packet, or those of this machine that receive it. There are
// none for forwarded packets, and for those whose socket is not found.
func (s *Processes) Of(p *nfqueue.Packet) []owner.Process {
	flow, ok := p.Flow()
	if !ok || !flow.HasPorts() || p.Hook() == nfqueue.HookForward {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if a, ok := s.known[flow]; ok && now.Sub(a.at) < maxAnswers {
		return a.processes
	}
	uid, ok := p.UID()
	if !ok {
		uid = owner.AnyUser
	}
	found, _ := s.finder.Find(flow, uid)
	if len(s.known) == maxKnown {
		clear(s.known)
	}
	s.known[flow] = answer{now, found.Processes}
	return found.Processes
}
