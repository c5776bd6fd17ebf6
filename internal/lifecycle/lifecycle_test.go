// SPDX-License-Identifier: GPL-2.0-or-later

package lifecycle

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// steps bring a new queue to each state.
var steps = map[State][]string{
	Open:    {},
	Serving: {"startServe"},
	Ending:  {"startServe", "beginEnd"},
	Closed:  {"close"},
}

// step makes a transition. It reports what the method says, "" if nothing.
func step(l *Lifecycle, what string) string {
	switch what {
	case "startServe":
		_, done, err := l.StartServe()
		switch {
		case errors.Is(err, ErrServing):
			return "serving"
		case errors.Is(err, net.ErrClosed):
			return "closed"
		case done:
			return "done"
		}
		return "started"
	case "stopServe":
		l.StopReading()
		l.StopServe()
	case "requestStop":
		if l.RequestStop(&Stop{Ctx: context.Background()}) {
			return "first"
		}
	case "claimEnd":
		if l.ClaimEnd() != nil {
			return "serving"
		}
	case "beginEnd":
		l.BeginEnd()
	case "end":
		l.SetResult(nil)
		fallthrough
	case "close":
		if l.Close() {
			return "closes"
		}
	}
	return ""
}

// TestLifecycle makes every transition in every state.
func TestLifecycle(t *testing.T) {
	for _, c := range []struct {
		from State
		step string
		says string
		to   State
	}{
		{Open, "startServe", "started", Serving},
		{Open, "requestStop", "first", Open},
		{Open, "claimEnd", "", Ending},
		{Open, "beginEnd", "", Open},
		{Open, "close", "closes", Closed},

		{Serving, "startServe", "serving", Serving},
		{Serving, "stopServe", "", Open},
		{Serving, "requestStop", "first", Serving},
		{Serving, "claimEnd", "serving", Serving},
		{Serving, "beginEnd", "", Ending},
		{Serving, "close", "closes", Closed},

		{Ending, "startServe", "serving", Ending},
		{Ending, "stopServe", "", Ending},
		{Ending, "requestStop", "first", Ending},
		{Ending, "claimEnd", "serving", Ending},
		{Ending, "beginEnd", "", Ending},
		{Ending, "close", "closes", Closed},

		{Closed, "startServe", "closed", Closed},
		{Closed, "requestStop", "first", Closed},
		{Closed, "claimEnd", "", Closed},
		{Closed, "beginEnd", "", Closed},
		{Closed, "close", "", Closed},
	} {
		l := new(Lifecycle)
		l.Init()
		for _, s := range steps[c.from] {
			step(l, s)
		}
		if !l.Is(c.from) {
			t.Fatalf("state %d, want %d", l.state.Load(), c.from)
		}
		if says := step(l, c.step); says != c.says || !l.Is(c.to) {
			t.Errorf("%s in state %d: %q and state %d, want %q and %d",
				c.step, c.from, says, l.state.Load(), c.says, c.to)
		}
	}
}

// TestServeAfterStop: what a Serve gets that comes when the queue has Result, or is about to.
func TestServeAfterStop(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []string // before Serve
		then  []string // while it waits
		says  string
	}{
		{"Shutdown to come", []string{"requestStop"}, []string{"claimEnd", "end"}, "done"},
		{"Shutdown at work", []string{"requestStop", "claimEnd"}, []string{"end"}, "done"},
		{"after Shutdown", []string{"requestStop", "claimEnd", "end"}, nil, "done"},
		{"Close during Shutdown", []string{"requestStop", "claimEnd"}, []string{"close"}, "closed"},
		{"after Close", []string{"close"}, nil, "closed"},
		{"after the end of Serve", []string{"startServe", "beginEnd", "end", "stopServe"}, nil, "closed"},
		{"after a panic", []string{"startServe", "stopServe"}, nil, "started"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := new(Lifecycle)
				l.Init()
				for _, s := range c.steps {
					step(l, s)
				}
				says := make(chan string, 1)
				go func() { says <- step(l, "startServe") }()
				synctest.Wait()
				if c.then != nil && len(says) != 0 {
					t.Fatalf("it did not wait: %q", <-says)
				}
				for _, s := range c.then {
					step(l, s)
				}
				if got := <-says; got != c.says {
					t.Errorf("%q, want %q", got, c.says)
				}
			})
		})
	}
}

// TestInHandler: only goroutines that a method would wait for are in a handler.
func TestInHandler(t *testing.T) {
	l := new(Lifecycle)
	l.Init()
	elsewhere := func() (in bool) {
		done := make(chan struct{})
		go func() { in = l.InHandler(); close(done) }()
		<-done
		return in
	}
	if l.InHandler() {
		t.Error("nobody serves")
	}
	step(l, "startServe")
	if !l.InHandler() || elsewhere() {
		t.Errorf("the reader %v, another goroutine %v", l.InHandler(), elsewhere())
	}
	step(l, "stopServe")
	if l.InHandler() {
		t.Error("the reader stays one")
	}
	remove := l.AddWorker()
	if !l.InHandler() || elsewhere() {
		t.Errorf("the worker %v, another goroutine %v", l.InHandler(), elsewhere())
	}
	if remove(); l.InHandler() {
		t.Error("the worker stays one")
	}
}
