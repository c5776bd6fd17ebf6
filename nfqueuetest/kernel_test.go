// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func deferAll(p *nfqueue.Packet) nfqueue.Verdict {
	p.Defer()
	return nfqueue.Deferred
}

// inBubble runs a test in a bubble, where time limits pass at once.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func TestNothingLeft(t *testing.T) {
	inBubble(t, "served", func(t *testing.T) {
		wantSuccess(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, always(nfqueue.Accept))
			k.Send(0, nfqueuetest.Spec{}) // without a look at the result
		})
	})
	inBubble(t, "closed, and the test knows", func(t *testing.T) {
		wantSuccess(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			q, _ := k.Open(nfqueue.Config{})
			f := k.Send(0, nfqueuetest.Spec{})
			q.Close()
			if r := f.Result(); r.Cause != nfqueuetest.Closed || r.Passed {
				tb.Errorf("%+v", r)
			}
		})
	})
	inBubble(t, "nothing ever sent", func(t *testing.T) {
		wantSuccess(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Overrun(3, 1)
			k.Open(nfqueue.Config{})
			k.Serve(nfqueue.Config{Queue: 1}, always(nfqueue.Drop))
		})
	})
}

func TestSomethingLeft(t *testing.T) {
	inBubble(t, "nobody serves", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Open(nfqueue.Config{Queue: 4})
			k.Send(4, nfqueuetest.Spec{})
			k.Send(4, nfqueuetest.Spec{})
		}, "queue 4: 2 packets had no verdict", "packet (udp 192.0.2.1:1024", "kernel_test.go:")
	})
	inBubble(t, "forgotten Held", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, handlerFunc(deferAll))
			k.Send(0, nfqueuetest.Spec{})
		}, "1 packets had no verdict")
	})
	inBubble(t, "closed too early", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			q, _ := k.Open(nfqueue.Config{})
			k.Send(0, nfqueuetest.Spec{})
			q.Close()
		}, "closed before they had a verdict", "192.0.2.1:1024")
	})
	inBubble(t, "handler blocks", func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, handlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
				<-block
				return nfqueue.Drop
			}))
			k.Send(0, nfqueuetest.Spec{})
			synctest.Wait()
		}, "queue 0 does not end")
	})
	inBubble(t, "closed while the handler blocks", func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			q, _ := k.Open(nfqueue.Config{})
			go q.Serve(context.Background(), handlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
				<-block
				return nfqueue.Drop
			}))
			f := k.Send(0, nfqueuetest.Spec{})
			synctest.Wait()
			q.Close()
			f.Result()
		}, "queue 0 does not end")
	})
	inBubble(t, "handler panics", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, handlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { panic("oh") }))
			k.Send(0, nfqueuetest.Spec{}).Result()
		}, "panicked: oh")
	})
	inBubble(t, "no verdict in time", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, handlerFunc(deferAll))
			k.Send(0, nfqueuetest.Spec{}).Result()
			tb.Error("Result returned")
		}, "no verdict within 10s", "packet 1 of queue 0 (udp ")
	})
	inBubble(t, "not segmented", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Open(nfqueue.Config{Flags: nfqueue.NoGSO})
			k.Send(0, nfqueuetest.Spec{SKBInfo: nfqueue.SegmentationPending})
		}, "send the segments")
	})
	inBubble(t, "cannot be opened", func(t *testing.T) {
		wantFailure(t, func(tb testing.TB) {
			k := nfqueuetest.NewKernel(tb)
			k.Serve(nfqueue.Config{}, always(nfqueue.Drop))
			k.Serve(nfqueue.Config{}, always(nfqueue.Drop))
		}, "queue is in use")
	})
}

func TestOpenErrors(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	if _, err := k.Open(nfqueue.Config{Batch: -1}); err == nil {
		t.Error("invalid Config accepted")
	}
	k.SetFlags(0)
	_, err := k.Open(nfqueue.Config{Flags: nfqueue.Conntrack | nfqueue.UIDGID})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "conntrack|uid-gid") {
		t.Errorf("%v", err)
	}
	q, err := k.Open(nfqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	owner := q.Stats().Kernel.PortID
	if _, err = k.Open(nfqueue.Config{}); !errors.Is(err, nfqueue.ErrQueueInUse) ||
		!strings.Contains(err.Error(), " 4294") && !strings.Contains(err.Error(), " 4711 ") ||
		owner == 0 {
		t.Errorf("%v", err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	k.SetPrivileged(false)
	if _, err = k.Open(nfqueue.Config{}); !errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, nfqueue.ErrQueueInUse) {
		t.Errorf("%v", err)
	}
	k.SetPrivileged(true)
	if _, err = k.Open(nfqueue.Config{}); err != nil {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q, err := k.Open(nfqueue.Config{Fallback: nfqueue.Accept})
	if err != nil {
		t.Fatal(err)
	}
	f := k.Send(0, nfqueuetest.Spec{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Wait(ctx); !errors.Is(err, context.Canceled) ||
		!strings.Contains(err.Error(), "packet 1 of queue 0") {
		t.Errorf("Wait: %v", err)
	}
	if err := q.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := f.Wait(t.Context()); err != nil || r.Verdict != nfqueue.Accept {
		t.Errorf("Wait: %+v, %v", r, err)
	}
}

// Faults that are ordered before a queue is open concern the next one with that number.
func TestFaultsBeforeOpen(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	k.Overrun(0, 1)
	k.Truncate(0, 30)
	k.Overrun(1, 5)
	q := k.Serve(nfqueue.Config{Fallback: nfqueue.Accept}, always(nfqueue.Drop))
	if r := k.Send(0, nfqueuetest.Spec{}).Result(); r.Cause != nfqueuetest.BufferFull {
		t.Errorf("%+v", r)
	}
	if r := k.Send(0, nfqueuetest.Spec{}).Result(); r.Verdict != nfqueue.Accept {
		t.Errorf("%+v", r)
	}
	if got := q.Stats(); got.Fallback.Truncated != 1 {
		t.Errorf("%+v", got)
	}
	if r := k.Send(0, nfqueuetest.Spec{}).Result(); r.Verdict != nfqueue.Drop || r.Hops[0].ID != 3 {
		t.Errorf("%+v", r)
	}
}

func TestReadBufferLimit(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	k.SetReadBufferLimit(5000)
	q, err := k.Open(nfqueue.Config{Fallback: nfqueue.Accept})
	if err != nil {
		t.Fatal(err)
	}
	if got := q.Stats(); got.ReadBuffer != 5000 {
		t.Errorf("%+v", got)
	}
	var results []nfqueuetest.Result
	var flights []*nfqueuetest.Flight
	for range 8 {
		flights = append(flights, k.Send(0, nfqueuetest.Spec{}))
	}
	q.Shutdown(t.Context())
	for _, f := range flights {
		results = append(results, f.Result())
	}
	for i, r := range results {
		want := nfqueuetest.Decided
		if i >= 6 { // 832 bytes each
			want = nfqueuetest.BufferFull
		}
		if r.Cause != want {
			t.Errorf("packet %d: %v", i+1, r.Cause)
		}
	}
}

func TestLinkNames(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	k.SetLink(5, "wlan0")
	var names []string
	k.Serve(nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		names = append(names, p.InDevName())
		return nfqueue.Accept
	}))
	k.Send(0, nfqueuetest.Spec{InDev: 5}).Result()
	k.Send(0, nfqueuetest.Spec{InDev: 6}).Result()
	if len(names) != 2 || names[0] != "wlan0" || names[1] != "" {
		t.Errorf("%q", names)
	}
}

func TestCauseString(t *testing.T) {
	seen := make(map[string]bool)
	for c := nfqueuetest.Decided; c <= nfqueuetest.UnknownLink; c++ {
		if s := c.String(); s == "" || seen[s] {
			t.Errorf("cause %d is %q", c, s)
		} else {
			seen[s] = true
		}
	}
	if s := nfqueuetest.Cause(200).String(); s != "cause 200" {
		t.Error(s)
	}
}
