// SPDX-License-Identifier: GPL-2.0-or-later

// Package line keeps things until their time comes, to within microseconds.
package line

import (
	"container/heap"
	"runtime"
	"sync"
	"time"
)

// Line keeps things until their time comes. One goroutine hands them out, in the order of their
// times, and of their coming where those are equal.
type Line[T any] struct {
	clock func() time.Duration
	out   func(thing T, at time.Duration)
	alarm *alarm
	ended chan struct{}

	mu      sync.Mutex
	things  items[T]
	coming  uint64        // counts things
	waiting int           // those that have not been handed out completely
	waking  time.Duration // when the goroutine looks again by itself
	hurried bool          // everything is due
	calm    bool          // hurried ends when nothing waits
	closed  bool
}

// Never is later than anything.
const Never = time.Duration(1<<63 - 1)

// New makes a Line that calls out with each thing and the time it was added with.
func New[T any](clock func() time.Duration, out func(thing T, at time.Duration)) (*Line[T], error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	l := &Line[T]{clock: clock, out: out, alarm: a, ended: make(chan struct{})}
	go l.run()
	return l, nil
}

// Add takes a thing that is to be handed out at a time.
func (l *Line[T]) Add(thing T, at time.Duration) {
	l.mu.Lock()
	heap.Push(&l.things, item[T]{at, l.coming, thing})
	l.coming++
	l.waiting++
	ring := at < l.waking || l.hurried
	if ring {
		l.waking = at // once is enough
	}
	l.mu.Unlock()
	if ring {
		l.alarm.ring()
	}
}

// Len returns the number of things that have not been handed out, or are just being.
func (l *Line[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// Hurry hands out everything now, and at once what comes later. After a call with false that ends
// as soon as nothing waits.
func (l *Line[T]) Hurry(yes bool) {
	l.mu.Lock()
	l.calm = !yes
	l.hurried = yes || l.hurried && len(l.things) > 0
	l.mu.Unlock()
	l.alarm.ring()
}

// Close hands out everything and ends the goroutine. Nothing may be added any more.
func (l *Line[T]) Close() {
	l.mu.Lock()
	l.hurried, l.calm, l.closed = true, false, true
	l.mu.Unlock()
	l.alarm.ring()
	<-l.ended
	l.alarm.close()
}

func (l *Line[T]) run() {
	defer close(l.ended)
	defer KeepThread()()
	// The thread ends with the goroutine: nobody else shall get one with these timers.
	runtime.LockOSThread()
	SharpenTimers()
	var due []item[T]
	for {
		now := l.clock()
		l.mu.Lock()
		l.waiting -= len(due)
		due = due[:0]
		for len(l.things) > 0 && (l.things[0].at <= now || l.hurried) {
			due = append(due, heap.Pop(&l.things).(item[T]))
		}
		if l.calm && len(l.things) == 0 {
			l.hurried = false
		}
		l.waking = Never
		if len(l.things) > 0 {
			l.waking = l.things[0].at
		}
		waking, closed := l.waking, l.closed
		l.mu.Unlock()
		if len(due) == 0 {
			if closed {
				return
			}
			l.alarm.wait(l.clock, waking)
		}
		for i := range due {
			l.out(due[i].thing, due[i].at)
		}
		clear(due)
	}
}

type item[T any] struct {
	at    time.Duration
	order uint64
	thing T
}

// items are a heap.
type items[T any] []item[T]

func (s items[T]) Len() int      { return len(s) }
func (s items[T]) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s items[T]) Less(i, j int) bool {
	if s[i].at != s[j].at {
		return s[i].at < s[j].at
	}
	return s[i].order < s[j].order
}

// Push is heap.Interface's.
func (s *items[T]) Push(x any) { *s = append(*s, x.(item[T])) }

// Pop is heap.Interface's.
func (s *items[T]) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = item[T]{}
	*s = (*s)[:last]
	return x
}
