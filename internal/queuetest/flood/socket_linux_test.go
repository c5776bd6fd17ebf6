// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// descriptorOf returns the number of the descriptor that a queue receives from.
func descriptorOf(t *testing.T, q *nfqueue.Queue) int {
	t.Helper()
	dup, err := q.File()
	labtest.Must(t, err)
	defer dup.Close()
	inode, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dup.Fd()))
	labtest.Must(t, err)
	entries, err := os.ReadDir("/proc/self/fd")
	labtest.Must(t, err)
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err != nil || fd == int(dup.Fd()) {
			continue
		}
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target == inode {
			return fd
		}
	}
	t.Fatal("found no descriptor of the queue")
	return -1
}

// TestKernelFaultDescriptorClosed closes the descriptor underneath the queue, by putting
// another file in its place, so that nothing else of the process gets its number.
func TestKernelFaultDescriptorClosed(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	labtest.Must(t, err)
	defer unix.Close(null)

	t.Run("under load", func(t *testing.T) {
		l := newLoopLab(t, netlab.Queue{Num: 1, Bypass: true})
		q := queuelab.Open(t, l.Host, nfqueue.Config{Queue: 1, MaxLen: few})
		fd := descriptorOf(t, q)
		flood := l.flood(1)
		err := q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() == 50 {
				labtest.Must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
			}
			return queuelab.Marked(p)
		}))
		if !errors.Is(err, unix.ENOTSOCK) {
			t.Errorf("Serve: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		effective := queuelab.Settled(t, q)
		if s := q.Stats(); s.Unsent == 0 || effective > 50 {
			t.Errorf("%+v", s)
		}
		l.awaitPassed(100) // past a queue that is nobody's
		flood()
	})
	t.Run("while waiting", func(t *testing.T) {
		l := newLoopLab(t, netlab.Queue{Num: 1})
		q := queuelab.Open(t, l.Host, nfqueue.Config{Queue: 1})
		fd := descriptorOf(t, q)
		s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
		labtest.Must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
		s.Cancel()
		if err := queuelab.WaitFor(t, s.Result); err == nil {
			t.Error("Serve reports nothing of the broken socket")
		}
		_ = q.Close()
		queuelab.Settled(t, q)
	})
}

// consumed counts what the process consume has accepted.
func consumed(t *testing.T, l *faultLab) *netlab.Rule {
	t.Helper()
	return labtest.Rule(t, labtest.Chain(t, l.Host, netlab.IP, netlab.Output, 20),
		netlab.Mark(consumedMark), netlab.Counter())
}

// TestKernelFaultQueueStolen closes a queue under load, and another process binds it. Late verdicts
// of the first process decide nothing in the second.
func TestKernelFaultQueueStolen(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	stolen := consumed(t, l)
	keep := keeper{max: 10}
	s := l.serve(nfqueue.Config{MaxLen: few}, keep.handle)
	flood := l.flood(2)
	keep.full(t)
	thief := l.start("consumer", nil)
	s.awaitHandled(100)
	s.Close()
	if err := queuelab.WaitFor(t, s.result); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if said := thief.says(); !strings.HasPrefix(said, "ready") {
		t.Fatalf("the other process says %q", said)
	}
	l.awaitPassed(100)
	for _, h := range keep.kept {
		if err := h.Resolve(nfqueue.Accept); !errors.Is(err, nfqueue.ErrClosed) {
			t.Errorf("Resolve: %v", err)
		}
	}
	if err := s.SetMaxLen(nfqueue.MaxLenNone); !errors.Is(err, nfqueue.ErrClosed) {
		t.Errorf("SetMaxLen: %v", err)
	}
	l.awaitPassed(100)
	flood()
	received, accepted, odd := thief.finish()
	if theirs, _, err := stolen.Count(); err != nil || received != accepted || odd != 0 ||
		theirs != accepted {
		t.Errorf("the other process has received %d packets and accepted %d, %d odd; %d have gone on, %v",
			received, accepted, odd, theirs, err)
	}
	if effective, passed := queuelab.Settled(t, s.Queue), l.count(); passed != effective+accepted {
		t.Errorf("%d datagrams have gone on; %d and %d verdicts let them: %+v", passed, effective,
			accepted, s.Stats())
	}
}

// TestKernelFaultConsumerKilled kills the process that serves the queue. With bypass packets pass
// at once until another process binds the queue; without they are dropped.
func TestKernelFaultConsumerKilled(t *testing.T) {
	for _, bypass := range []bool{false, true} {
		t.Run(fmt.Sprintf("bypass %v", bypass), func(t *testing.T) {
			l := newLoopLab(t, netlab.Queue{Num: 1, Bypass: bypass})
			served := consumed(t, l)
			by := func() uint64 {
				n, _, err := served.Count()
				labtest.Must(t, err)
				return n
			}
			victim := l.start("consumer", nil)
			victim.says()
			flood := l.flood(2)
			await(t, "the first process accepts packets", func() bool { return by() > 100 })
			victim.signal(unix.SIGKILL)
			if _, more := <-victim.lines; more {
				t.Error("the killed process goes on")
			}
			left, total := by(), l.count()
			if bypass {
				l.awaitPassed(100)
			}
			if n := by(); n != left {
				t.Errorf("%d packets were accepted after the end of the process", n-left)
			}
			if n := l.count(); !bypass && n != total {
				t.Errorf("%d packets have passed a queue that is nobody's, without bypass", n-total)
			}
			successor := l.start("consumer", nil)
			successor.says()
			await(t, "the second process accepts packets", func() bool { return by() > left+100 })
			flood()
			received, accepted, odd := successor.finish()
			if received != accepted || odd != 0 || by() != left+accepted {
				t.Errorf("the second process has received %d and accepted %d packets, %d odd; %d have gone on",
					received, accepted, odd, by()-left)
			}
		})
	}
}

// TestKernelFaultConsumerStopped stops the process for a while, so time jumps for it.
func TestKernelFaultConsumerStopped(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	p := l.start("consumer", nil)
	p.says()
	flood := l.flood(2)
	for range 3 {
		l.awaitPassed(100)
		p.signal(unix.SIGSTOP)
		time.Sleep(150 * time.Millisecond) // the jump
		p.signal(unix.SIGCONT)
	}
	l.awaitPassed(100)
	sent := flood()
	received, accepted, odd := p.finish()
	if received != sent || accepted != sent || odd != 0 || l.count() != sent {
		t.Errorf("%d datagrams were sent, %d received, %d accepted, %d odd, %d have gone on", sent,
			received, accepted, odd, l.count())
	}
}

// TestKernelFaultCapability takes CAP_NET_ADMIN from the thread that serves. The kernel refuses
// whole datagrams with one answer. When the capability is back the queue goes on, and nothing
// decides the packets of the refused verdicts.
func TestKernelFaultCapability(t *testing.T) {
	for name, v := range map[string]nfqueue.HandlerFunc{"messages": queuelab.Marked,
		"batches": queuelab.Always(nfqueue.Accept)} {
		t.Run(name, func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			passed := queuelab.Counted(t, lab.Host, netlab.IP)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			told := make(queuelab.Refusals, 100)
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, FlushAfter: time.Hour,
				OnRefused: told.Add})
			const each = 30
			for i := range each {
				lab.In(fmt.Sprint(i))
			}
			restore := func() {}
			result := make(chan error, 1)
			next := make(chan bool)
			go func() {
				runtime.LockOSThread() // for good: the thread is not to be used again
				result <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID() {
					case each: // the last one: all verdicts leave without the capability
						restore = dropNetAdmin(t)
					case each + 1:
						restore()
					case 3 * each:
						defer close(next)
					}
					return v(p)
				}))
			}()
			refused := 0
			for refused < each {
				e := queuelab.WaitFor(t, told)
				if !errors.Is(e, fs.ErrPermission) {
					t.Errorf("told of %v", e)
				}
				refused += e.Verdicts
			}
			for i := range 2 * each {
				lab.In(fmt.Sprint("again ", i))
			}
			queuelab.WaitFor(t, next)
			for i := range 2 * each {
				lab.Out(t, fmt.Sprint("again ", i))
			}
			if s := q.Stats(); s.Refused != each || s.Kernel != nil && s.Kernel.Backlog != each {
				t.Errorf("%+v, kernel %+v", s, s.Kernel)
			}
			queuelab.Stop(t, q)
			if err := queuelab.WaitFor(t, result); err != nil {
				t.Error(err)
			}
			queuelab.WantCount(t, passed, "the chain behind the queue", 2*each)
			if effective := queuelab.Settled(t, q); effective != 2*each {
				t.Errorf("%+v", q.Stats())
			}
		})
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from the calling thread, and gives it back.
func dropNetAdmin(t *testing.T) (restore func()) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	set := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	set(unix.Capget(&hdr, &data[0]))
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	set(unix.Capset(&hdr, &data[0]))
	return func() {
		data[0].Effective |= 1 << unix.CAP_NET_ADMIN
		set(unix.Capset(&hdr, &data[0]))
	}
}
