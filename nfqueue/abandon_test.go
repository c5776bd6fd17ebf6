// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"runtime"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// A packet is dropped when no copy of its Payload is left, and not before.
func TestAbandonedPayload(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	kept := make(chan *Payload, 1)
	loop(t, initialized(k), func(p *Payload) int {
		if p.Id == 1 {
			kept <- p
		}
		return NF_ACCEPT // which is not used
	})
	first, second := k.Send(5, nfqueuetest.Spec{}), k.Send(5, nfqueuetest.Spec{})
	p := receive(t, kept)
	awaitCollection(t, second)
	if r := second.Result(); r.Passed || r.Cause != nfqueuetest.Decided {
		t.Errorf("%+v", r)
	}
	must(t, p.SetVerdict(NF_ACCEPT))
	if r := first.Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
}

// A program may keep a copy of the Payload instead of the pointer.
func TestCopiedPayload(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	kept := make(chan Payload, 1)
	loop(t, initialized(k), func(p *Payload) int {
		if p.Id == 1 {
			kept <- *p
		}
		return 0
	})
	first, second := k.Send(5, nfqueuetest.Spec{Mark: 7}), k.Send(5, nfqueuetest.Spec{})
	p := receive(t, kept)
	awaitCollection(t, second)
	select {
	case <-first.Done():
		t.Errorf("a packet was decided that the program has a copy of: %+v", first.Result())
	default:
	}
	if mark := p.GetNFMark(); mark != 7 {
		t.Errorf("mark %d", mark)
	}
	must(t, p.SetVerdict(NF_ACCEPT))
	another := p
	want(t, another.SetVerdict(NF_DROP), ErrRuntime, nfqueue.ErrResolved)
	if r := first.Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
}

// awaitCollection collects garbage until a packet is decided.
func awaitCollection(t *testing.T, f *nfqueuetest.Flight) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		runtime.GC()
		select {
		case <-f.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Fatal("the packet still waits")
}
