// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// A File that fails leaves the queue as it was: nobody else receives, so losses are counted.
func TestFaultFileFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		q := k.open(nfqueue.Config{})
		if _, err := q.File(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("File: %v", err)
		}
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		k.send(1)
		synctest.Wait()
		k.Overrun(0, 3)
		k.send(4)
		synctest.Wait()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		for _, f := range k.flights {
			f.Result()
		}
		if n := q.Stats().Lost; n != 3 {
			t.Errorf("%d packets were lost, want 3", n)
		}
	})
}

// The log has a line when losses begin and one when they have ended, for however many packets.
func TestFaultLossIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		flags         nfqueue.Flags
		more          func(k *faulty) // sends packets of which 3 are lost
		begins, ended string
	}{
		"socket": {0, func(k *faulty) {
			k.Overrun(0, 3)
			k.send(4)
		}, "the receive buffer is full ... lost=3", "the receive buffer loses no more packets ... lost=9 for=3s"},
		"socket, fail-open": {nfqueue.FailOpen, func(k *faulty) {
			k.Overrun(0, 3)
			k.send(4)
		}, "the receive buffer is full ... lost=3", "the receive buffer loses no more packets ... lost=9 for=3s"},
		"queue": {0, func(k *faulty) {
			k.send(9 + 3)
		}, "the queue is full ... lost=3", "the queue loses no more packets ... lost=9 for=3s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFaulty(t)
				var log queuelab.Log
				q := k.open(nfqueue.Config{MaxLen: 10, Flags: c.flags, Logger: log.Logger()})
				release := make(chan bool)
				s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					if p.Mark() == 1 {
						<-release
					}
					return nfqueue.Accept
				}))
				lose := func() {
					k.Send(0, nfqueuetest.Spec{Mark: 1})
					synctest.Wait() // nobody receives until all have been sent
					c.more(k)
					release <- true
				}
				k.send(5)
				time.Sleep(1500 * time.Millisecond)
				log.Want(t)
				lose()
				time.Sleep(time.Second)
				log.Want(t, c.begins)
				for range 2 {
					lose()
					time.Sleep(time.Second)
					log.Want(t)
				}
				time.Sleep(time.Second)
				log.Want(t, c.ended)
				k.send(1)
				time.Sleep(time.Minute)
				log.Want(t)
				lose()
				time.Sleep(time.Minute)
				log.Want(t, c.begins, "lost=3 for=1s")
				for _, f := range k.flights {
					f.Result()
				}
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The log reports a queue that fills up while its handler hangs.
func TestFaultLossWhileHandlerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFaulty(t)
		var log queuelab.Log
		q := k.open(nfqueue.Config{MaxLen: 10, Logger: log.Logger()})
		hang := make(chan bool)
		s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			<-hang
			return nfqueue.Accept
		}))
		k.Send(0, nfqueuetest.Spec{})
		time.Sleep(time.Minute + time.Second/2)
		log.Want(t)
		k.send(12)
		time.Sleep(time.Second)
		log.Want(t, "the queue is full ... lost=3")
		close(hang)
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// tableReads counts how often the kernel's table is read.
type tableReads struct {
	*fakekernel.Conn
	n atomic.Int64
}

func (c *tableReads) ProcTable() ([]byte, error) {
	c.n.Add(1)
	return c.Conn.ProcTable()
}

// An idle queue does not read the kernel's table.
func TestFaultLossIsNotPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := fakekernel.New()
		conn := &tableReads{Conn: k.Dial()}
		var log queuelab.Log
		opened, err := bridge.OpenOver(conn, nfqueue.Config{Logger: log.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		s := queuelab.StartServing(opened.(*nfqueue.Queue), queuelab.Always(nfqueue.Accept))
		k.Send(fakekernel.Rule{}, fakekernel.Packet{Family: 2, Payload: smallPacket})
		time.Sleep(time.Minute)
		before := conn.n.Load()
		time.Sleep(time.Hour)
		if after := conn.n.Load(); before == 0 || after != before {
			t.Errorf("the kernel's table was read %d times in a minute, and %d times in an idle hour",
				before, after-before)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}
