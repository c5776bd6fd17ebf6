// SPDX-License-Identifier: GPL-2.0-or-later

// Package holding lists what waits to be decided by somebody, until a deadline if it has one.
// There is one timer for all, and none runs while nothing has a deadline.
package holding

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Set is a set of entries. Init comes before anything else.
type Set[T any] struct {
	// Mutex is held while an entry is added, or removed and counted.
	sync.Mutex
	live atomic.Int64

	// Guarded by Mutex.
	all       Entry[T] // head of a ring
	deadlines deadlines[T]
	timer     *time.Timer
	empty     chan struct{} // closed when nothing is listed any more, nil if nobody waits
}

// Entry is a member of at most one Set, once. It must not be copied.
type Entry[T any] struct {
	owner      T
	prev, next *Entry[T]
	deadline   time.Time
	index      int // in the heap of deadlines, -1 if it has none
}

// Init has overdue called for each owner whose deadline has passed, and then done. They run on
// a goroutine of their own, and overdue removes the entry if nobody else has.
func (s *Set[T]) Init(overdue func(owner T), done func()) {
	s.all.prev, s.all.next = &s.all, &s.all
	s.timer = time.AfterFunc(time.Hour, func() {
		for {
			e := s.nextOverdue()
			if e == nil {
				break
			}
			overdue(e.owner)
		}
		done()
	})
	s.timer.Stop()
}

// nextOverdue returns an entry the deadline of which has passed, and which has none then.
func (s *Set[T]) nextOverdue() *Entry[T] {
	s.Lock()
	defer s.Unlock()
	if len(s.deadlines) == 0 {
		return nil
	}
	e := s.deadlines[0]
	if wait := time.Until(e.deadline); wait > 0 {
		s.timer.Reset(wait)
		return nil
	}
	heap.Remove(&s.deadlines, 0)
	return e
}

// Add lists an entry. The zero deadline is none.
func (s *Set[T]) Add(e *Entry[T], owner T, deadline time.Time) {
	s.Lock()
	defer s.Unlock()
	s.live.Add(1)
	e.owner, e.index = owner, -1
	e.prev, e.next = s.all.prev, &s.all
	e.prev.next, e.next.prev = e, e
	if !deadline.IsZero() {
		s.setDeadlineLocked(e, deadline)
	}
}

// SetDeadline changes the deadline of an entry, if it is still listed.
func (s *Set[T]) SetDeadline(e *Entry[T], deadline time.Time) {
	s.Lock()
	defer s.Unlock()
	if e.next == nil {
		return
	}
	if e.index >= 0 {
		heap.Remove(&s.deadlines, e.index)
	}
	s.setDeadlineLocked(e, deadline)
}

func (s *Set[T]) setDeadlineLocked(e *Entry[T], deadline time.Time) {
	e.deadline = deadline
	if heap.Push(&s.deadlines, e); e.index == 0 {
		s.timer.Reset(time.Until(deadline))
	}
}

// Remove removes an entry that is listed and counts it, unless counter is nil.
func (s *Set[T]) Remove(e *Entry[T], counter *atomic.Uint64) {
	s.Lock()
	defer s.Unlock()
	if counter != nil {
		counter.Add(1)
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	if e.index >= 0 {
		heap.Remove(&s.deadlines, e.index)
	}
	if s.live.Add(-1) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Len returns the number of entries. It is asked before each packet.
func (s *Set[T]) Len() int { return int(s.live.Load()) }

// Owners returns those of all entries.
func (s *Set[T]) Owners() (all []T) {
	s.Lock()
	defer s.Unlock()
	for e := s.all.next; e != &s.all; e = e.next {
		all = append(all, e.owner)
	}
	return all
}

// Wait waits until nothing is listed, ctx ends or done is closed.
func (s *Set[T]) Wait(ctx context.Context, done <-chan struct{}) {
	s.Lock()
	if s.Len() == 0 {
		s.Unlock()
		return
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	case <-done:
	}
}

// Stop ends the timer.
func (s *Set[T]) Stop() { s.timer.Stop() }

// deadlines orders entries by their deadline.
type deadlines[T any] []*Entry[T]

func (d deadlines[T]) Len() int           { return len(d) }
func (d deadlines[T]) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines[T]) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push is heap.Interface's.
func (d *deadlines[T]) Push(x any) {
	e := x.(*Entry[T])
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop is heap.Interface's.
func (d *deadlines[T]) Pop() any {
	last := len(*d) - 1
	e := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	e.index = -1
	return e
}
