// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// initialized makes a Queue over a kernel in memory.
func initialized(k *nfqueuetest.Kernel) *Queue { return &Queue{open: k.Open} }

// must fails the test at once for an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless err is of the given kinds.
func want(t testing.TB, err error, kinds ...error) {
	t.Helper()
	for _, k := range kinds {
		if !errors.Is(err, k) {
			t.Errorf("error %v is not %q", err, k)
		}
	}
}

// receive returns the next value from a channel.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// loop runs q until the test ends, as queue 5 with a callback.
func loop(t testing.TB, q *Queue, cb Callback) {
	t.Helper()
	must(t, q.SetCallback(cb))
	must(t, q.CreateQueue(5))
	ended := start(q)
	t.Cleanup(func() {
		// A StopLoop before Loop has no effect, so call it until Loop returns.
		for {
			q.StopLoop()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
				q.Close()
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// start runs a Loop and returns a channel for its result.
func start(q *Queue) <-chan error {
	ended := make(chan error, 1)
	go func() {
		defer close(ended) // also when the callback ends the goroutine with t.Fatal
		ended <- q.Loop()
	}()
	return ended
}

// SetMode from the callback fails at once: the kernel's answer would come through Loop.
func TestModeInCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := nfqueuetest.NewKernel(t)
		q := initialized(k)
		loop(t, q, func(p *Payload) int {
			if p.Id > 1 {
				if len(p.Data) == 0 {
					t.Error("the mode has changed")
				}
				must(t, p.SetVerdict(NF_ACCEPT))
				return 0
			}
			for name, set := range map[string]func() error{
				"SetMode":        func() error { return q.SetMode(NFQNL_COPY_META) },
				"SetQueueMaxLen": func() error { return q.SetQueueMaxLen(10) },
			} {
				began := time.Now()
				want(t, set(), ErrRuntime, nfqueue.ErrInHandler)
				if took := time.Since(began); took != 0 {
					t.Errorf("%s took %v", name, took)
				}
			}
			must(t, p.SetVerdict(NF_ACCEPT))
			return 0
		})
		k.Send(5, nfqueuetest.Spec{}).Result()
		k.Send(5, nfqueuetest.Spec{}).Result()
	})
}

func TestOrderOfCalls(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := new(Queue)
	q.Close()
	q.StopLoop()
	accept := func(p *Payload) int { must(t, p.SetVerdict(NF_ACCEPT)); return 0 }
	need := func(f ...func() error) {
		t.Helper()
		for i, f := range f {
			if err := f(); err != ErrNotInitialized {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
	bind := func() error { return q.Bind(2) }
	unbind := func() error { return q.Unbind(2) }
	create := func() error { return q.CreateQueue(5) }
	mode := func() error { return q.SetMode(NFQNL_COPY_PACKET) }
	length := func() error { return q.SetQueueMaxLen(10) }
	need(bind, unbind, create, mode, length, q.Loop, q.DestroyQueue)
	q.open = k.Open
	must(t, bind())
	must(t, unbind())
	need(create, mode, length, q.Loop, q.DestroyQueue)
	must(t, q.SetCallback(accept))
	need(mode, length, q.Loop, q.DestroyQueue)

	want(t, q.CreateQueue(-1), ErrRuntime)
	want(t, q.CreateQueue(65536), ErrRuntime)
	k.SetPrivileged(false)
	want(t, create(), ErrRuntime, fs.ErrPermission)
	k.SetPrivileged(true)
	must(t, create())
	want(t, create(), ErrRuntime)
	must(t, mode())
	must(t, length())
	want(t, q.SetMode(3), ErrRuntime)

	other := initialized(k)
	must(t, other.SetCallback(accept))
	want(t, other.CreateQueue(5), ErrRuntime, nfqueue.ErrQueueInUse)
	must(t, q.DestroyQueue())
	need(mode, length, q.Loop, q.DestroyQueue)
	must(t, other.CreateQueue(5))
	must(t, q.CreateQueue(6))
	other.Close()
	other.Close()
	q.Close()
	need(bind, create, q.Loop)
}

func TestLoopAgain(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	defer q.Close()
	must(t, q.SetCallback(func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		q.StopLoop()
		return 0
	}))
	must(t, q.CreateQueue(5))
	f := k.Send(5, nfqueuetest.Spec{})
	for range 3 {
		// Two wait, and each Loop is for one.
		next := k.Send(5, nfqueuetest.Spec{})
		must(t, receive(t, start(q)))
		f.Result()
		f = next
		q.StopLoop() // nobody hears it
	}
	must(t, receive(t, start(q)))
	f.Result()
}

func TestLoopOnce(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	inside, leave := make(chan struct{}), make(chan struct{})
	loop(t, q, func(p *Payload) int {
		close(inside)
		<-leave
		must(t, p.SetVerdict(NF_ACCEPT))
		return 0
	})
	f := k.Send(5, nfqueuetest.Spec{})
	receive(t, inside)
	want(t, q.Loop(), ErrRuntime, nfqueue.ErrServing)
	close(leave)
	f.Result()
}

func TestDestroyUnderLoop(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	inside, leave := make(chan *Payload), make(chan struct{})
	must(t, q.SetCallback(func(p *Payload) int {
		inside <- p
		<-leave
		return 0
	}))
	must(t, q.CreateQueue(5))
	ended := start(q)
	f := k.Send(5, nfqueuetest.Spec{})
	p := receive(t, inside)
	must(t, q.DestroyQueue())
	want(t, p.SetVerdict(NF_ACCEPT), ErrRuntime, nfqueue.ErrClosed)
	close(leave)
	want(t, receive(t, ended), ErrRuntime, nfqueue.ErrClosed)
	if r := f.Result(); r.Passed {
		t.Errorf("%+v", r)
	}
}

// Loop outlives its queue by the longest time of the cgo package, so that a program can remove its
// rules before log.Fatal(q.Loop()) ends it.
func TestLoopLingers(t *testing.T) {
	for name, destroy := range map[string]func(*Queue){
		"Close":        func(q *Queue) { q.Close() },
		"DestroyQueue": func(q *Queue) { must(t, q.DestroyQueue()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := nfqueuetest.NewKernel(t)
				q := initialized(k)
				must(t, q.SetCallback(func(p *Payload) int { must(t, p.SetVerdict(NF_ACCEPT)); return 0 }))
				must(t, q.CreateQueue(5))
				ended := start(q)
				k.Send(5, nfqueuetest.Spec{}).Result()
				began := time.Now()
				destroy(q)
				want(t, receive(t, ended), ErrRuntime, nfqueue.ErrClosed)
				if took := time.Since(began); took != 500*time.Millisecond {
					t.Errorf("Loop returned after %v", took)
				}
			})
		})
	}
}

// The name of Loop in programs that are older than 2017.
func TestTryRun(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	defer q.Close()
	if err := q.TryRun(); err != ErrNotInitialized {
		t.Errorf("before CreateQueue: %v", err)
	}
	must(t, q.SetCallback(func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		q.StopLoop()
		return 0
	}))
	must(t, q.CreateQueue(5))
	f := k.Send(5, nfqueuetest.Spec{})
	must(t, q.TryRun())
	if r := f.Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
}

func TestCloseInCallback(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	must(t, q.SetCallback(func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		q.Close()
		return 0
	}))
	must(t, q.CreateQueue(5))
	ended := start(q)
	if r := k.Send(5, nfqueuetest.Spec{}).Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
	want(t, receive(t, ended), ErrRuntime, nfqueue.ErrClosed)
}

func TestPanic(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	defer q.Close()
	cause := errors.New("in the callback")
	must(t, q.SetCallback(func(p *Payload) int { panic(cause) }))
	must(t, q.CreateQueue(5))
	panicked := make(chan any, 1)
	loop := func() {
		defer func() { panicked <- recover() }()
		q.Loop()
	}
	go loop()
	f, next := k.Send(5, nfqueuetest.Spec{}), k.Send(5, nfqueuetest.Spec{})
	for range 2 {
		err, _ := receive(t, panicked).(*nfqueue.PanicError)
		if err == nil || err.Value != cause || !bytes.Contains(err.Stack, []byte("TestPanic")) {
			t.Fatalf("Loop panicked with %v", err)
		}
		if r := f.Result(); r.Passed || r.Cause != nfqueuetest.Decided {
			t.Errorf("%+v", r)
		}
		if f != next { // the queue is still of use
			f = next
			go loop()
		}
	}
}
