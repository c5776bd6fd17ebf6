// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// A packet that a handler sends round again and again shows in Stats and, once, in the log.
func TestFaultRounds(t *testing.T) {
	const rounds, limit = 250, 100
	for _, c := range []struct {
		name   string
		cfg    nfqueue.Config
		again  nfqueue.Verdict
		change func(p *nfqueue.Packet) // before each round
		help   string                  // "" for no warning
	}{
		{name: "repeat", again: nfqueue.Repeat, help: "set a mark"},
		{name: "to itself", again: nfqueue.ToQueue(0), help: "another queue"},
		{name: "to itself or accept", again: nfqueue.ToQueueOrAccept(0), help: "another queue"},
		{
			name: "mark that stays", again: nfqueue.Repeat, help: "set a mark",
			change: func(p *nfqueue.Packet) { p.SetMark(7) },
		},
		{
			name: "mark that counts", again: nfqueue.Repeat,
			change: func(p *nfqueue.Packet) { p.SetMark(p.Mark() + 1) },
		},
		{
			name: "priority", again: nfqueue.Repeat,
			change: func(p *nfqueue.Packet) { p.SetPriority(p.ID()) },
		},
		{name: "metadata only", cfg: nfqueue.Config{CopyMode: nfqueue.CopyMeta}, again: nfqueue.Repeat},
	} {
		for name, serve := range queuelab.Servers {
			for _, held := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/held=%v", c.name, name, held), func(t *testing.T) {
					k := newFaulty(t)
					var log queuelab.Log
					c.cfg.Logger = log.Logger()
					q := k.open(c.cfg)
					ended := make(chan error, 1)
					go func() {
						ended <- serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
							v := c.again
							if p.ID() > rounds {
								v = nfqueue.Accept
							} else if c.change != nil {
								c.change(p)
							}
							if !held {
								return v
							}
							h := p.Defer()
							go func() {
								if err := h.Resolve(v); err != nil {
									t.Error(err)
								}
							}()
							return nfqueue.Deferred
						})
					}()
					flight := k.sendFrom(4000, 1)[0]
					<-flight.Done()
					if err := q.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
					if err := <-ended; err != nil {
						t.Error(err)
					}
					warned := c.help != ""
					from := uint64(limit)
					if c.change != nil {
						from++ // the first round changes the mark
					}
					if got := q.Stats().Looped; warned && got != rounds-from+1 || !warned && got != 0 {
						t.Errorf("counted %d", got)
					}
					if warned {
						log.Want(t, "a packet comes round again and again ... "+c.help+" ... 192.0.2.1:4000")
					} else {
						log.Want(t)
					}
				})
			}
		}
	}
}

// Packets that are alike and repeated once each, with a mark that the rule leaves alone, are not
// one that comes round.
func TestFaultRepeatedOnce(t *testing.T) {
	k := newFaulty(t)
	var log queuelab.Log
	q := k.open(nfqueue.Config{Logger: log.Logger()})
	flights := k.sendFrom(4000, 500)
	s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Mark() != 0 {
			return nfqueue.Accept
		}
		p.SetMark(1)
		return nfqueue.Repeat
	}))
	for _, f := range flights {
		<-f.Done()
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := q.Stats(); got.Looped != 0 || got.Repeated != 500 {
		t.Errorf("%d of %d repeats are rounds", got.Looped, got.Repeated)
	}
	log.Want(t)
}
