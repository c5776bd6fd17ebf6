// SPDX-License-Identifier: GPL-2.0-or-later

package intercept

import (
	"errors"
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// pauseTime is how long Pause waits for the packets that are in the queues.
const pauseTime = 2 * time.Second

// Pause lets all packets pass without queueing them, and returns when those in the queues are decided: the
// process may then be stopped without stopping the traffic. Serve has to run.
func (s *Session) Pause() error {
	for _, q := range s.queues {
		// In this order no packet is dropped.
		err := q.SetFlags(nfqueue.FailOpen, nfqueue.FailOpen)
		if err == nil {
			err = q.SetMaxLen(nfqueue.MaxLenNone)
		}
		if err != nil {
			return ignoreClosed(err)
		}
	}
	for end := time.Now().Add(pauseTime); s.backlog() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d packets still wait in the queues, and go on when nfq does", s.backlog())
		}
	}
	return nil
}

// Resume queues packets again.
func (s *Session) Resume() error {
	maxLen := s.cfg.Queue.MaxLen
	if maxLen == 0 {
		maxLen = nfqueue.DefaultMaxLen
	}
	for _, q := range s.queues {
		err := q.SetMaxLen(maxLen)
		if err == nil && (s.cfg.Flags|s.cfg.Queue.Flags)&nfqueue.FailOpen == 0 {
			err = q.SetFlags(nfqueue.FailOpen, 0)
		}
		if err != nil {
			return ignoreClosed(err)
		}
	}
	return nil
}

// backlog is the number of packets in the queues.
func (s *Session) backlog() (n uint32) {
	for _, q := range s.queues {
		if k := q.Stats().Kernel; k != nil {
			n += k.Backlog
		}
	}
	return n
}

// ignoreClosed returns err, nil if a queue has ended meanwhile.
func ignoreClosed(err error) error {
	if errors.Is(err, nfqueue.ErrClosed) {
		return nil
	}
	return err
}
