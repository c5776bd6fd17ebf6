// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// succeed serves the queue whose socket is descriptor 3 until standard input ends, and prints its
// counters.
func succeed() {
	q, err := nfqueue.OpenFile(os.NewFile(3, "socket"), nfqueue.Config{Queue: 1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("ready")
	err = q.Serve(ctx, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	fmt.Println(q.Stats().Received, err)
}

// TestHandOver hands a queue over to another process while datagrams flow without a pause, a
// hundred under way at any time. The receiver gets each of them, in order.
func TestHandOver(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1})
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	}()

	sent := make(chan int, 1)
	quit, window := make(chan bool), make(chan bool, 100)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-quit:
				return
			case window <- true:
				lab.In(string(binary.BigEndian.AppendUint32(nil, uint32(n))))
				n++
			}
		}
	}()
	received := 0
	get := func(until int) {
		t.Helper()
		for ; received < until; received++ {
			lab.Out(t, string(binary.BigEndian.AppendUint32(nil, uint32(received))))
			<-window
		}
	}
	get(1000)

	f, err := q.File()
	labtest.Must(t, err)
	successor := exec.Command("/proc/self/exe")
	successor.Env = append(os.Environ(), queuelab.ChildEnv+"=successor")
	successor.ExtraFiles = []*os.File{f}
	successor.Stderr = os.Stderr
	stdin, err := successor.StdinPipe()
	labtest.Must(t, err)
	stdout, err := successor.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, successor.Start())
	f.Close()
	said := bufio.NewScanner(stdout)
	if !said.Scan() || said.Text() != "ready" {
		t.Fatalf("the successor says %q", said.Text())
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuelab.Patience)
	defer cancel()
	labtest.Must(t, q.Release(ctx))
	if err := queuelab.WaitFor(t, served); err != nil {
		t.Error(err)
	}
	get(received + 5000)
	close(quit)
	total := queuelab.WaitFor(t, sent)
	get(total)

	stdin.Close()
	var theirs int
	if !said.Scan() {
		t.Fatal("the successor says nothing of what it did")
	}
	if _, err := fmt.Sscanf(said.Text(), "%d <nil>", &theirs); err != nil {
		t.Fatalf("the successor says %q", said.Text())
	}
	labtest.Must(t, successor.Wait())
	if ours := int(q.Stats().Received); ours+theirs != total || theirs < 4000 {
		t.Errorf("%d + %d packets handled, %d sent", ours, theirs, total)
	}
}

// TestEndAfterFile: if a process ends without Release, the queue of the other process goes on as it
// was.
func TestEndAfterFile(t *testing.T) {
	for _, fallback := range []nfqueue.Verdict{nfqueue.Drop, nfqueue.Accept} {
		for name, end := range map[string]func(t *testing.T, q *nfqueue.Queue, s *queuelab.Serving){
			"context":  func(_ *testing.T, _ *nfqueue.Queue, s *queuelab.Serving) { s.Cancel() },
			"Shutdown": func(t *testing.T, q *nfqueue.Queue, _ *queuelab.Serving) { queuelab.Stop(t, q) },
		} {
			t.Run(fmt.Sprint(name, " ", fallback), func(t *testing.T) {
				lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
				queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
				cfg := nfqueue.Config{Queue: 1, NetNS: lab.FD(), Fallback: fallback}
				old := queuelab.Open(t, lab.Host, cfg)
				s := queuelab.StartServing(old, queuelab.Always(nfqueue.Accept))
				lab.In("served")
				lab.Out(t, "served")
				next := openFileOf(t, old, cfg)
				queuelab.ServeOpen(t, next, queuelab.Always(nfqueue.Accept)) // and may read what the old one waits for
				end(t, old, s)
				if err := queuelab.WaitFor(t, s.Result); err != nil {
					t.Error(err)
				}
				for i := range 100 {
					lab.In(fmt.Sprint(i))
					lab.Out(t, fmt.Sprint(i))
				}
				queuelab.Stop(t, next)
				if got := next.Stats(); got.Received != 100 || got.Accepted != 100 {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// TestEndAfterFileDecidesWhatWaits: the waiting packets are decided, since there may be no other
// process after all.
func TestEndAfterFileDecidesWhatWaits(t *testing.T) {
	for _, n := range []int{1, 2} {
		lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
		const packets = 100
		q := queued(t, lab, packets, nfqueue.Config{Batch: 10})
		f, err := q.File()
		labtest.Must(t, err)
		f.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		labtest.Must(t, q.ServeFlows(ctx, n, queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })))
		for i := range packets {
			lab.Out(t, fmt.Sprint(i))
		}
		if got := q.Stats(); got.Accepted != packets || got.Fallback != (nfqueue.FallbackStats{}) {
			t.Errorf("%d handlers: %+v", n, got)
		}
	}
}

// TestFileAtTheEnd: a queue that is ending, and has no place for packets any more, is not handed
// over. One that is released still is.
func TestFileAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(q *nfqueue.Queue, s *queuelab.Serving)
		want error
	}{
		"context": {func(_ *nfqueue.Queue, s *queuelab.Serving) { s.Cancel() }, nfqueue.ErrClosed},
		"Shutdown": {func(q *nfqueue.Queue, _ *queuelab.Serving) { q.Shutdown(context.Background()) },
			nfqueue.ErrClosed},
		"Release": {func(q *nfqueue.Queue, _ *queuelab.Serving) { q.Release(context.Background()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept})
			holding := make(chan *nfqueue.Held, 1)
			s := queuelab.StartServing(q, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				holding <- p.Defer()
				return nfqueue.Deferred
			}))
			lab.In("held")
			held := <-holding
			go c.end(q, s)
			for !errors.Is(q.SetFlags(0, 0), nfqueue.ErrClosed) { // until it has begun to end
				time.Sleep(time.Millisecond)
			}
			f, err := q.File()
			if !errors.Is(err, c.want) {
				t.Errorf("File: %v, want %v", err, c.want)
			}
			if err == nil {
				f.Close()
			}
			if err := held.Resolve(nfqueue.Accept); err != nil {
				t.Error(err)
			}
			if err := queuelab.WaitFor(t, s.Result); err != nil {
				t.Error(err)
			}
			lab.Out(t, "held")
		})
	}
}

// openFileOf opens the queue of another Queue, as another process would.
func openFileOf(t *testing.T, q *nfqueue.Queue, cfg nfqueue.Config) *nfqueue.Queue {
	t.Helper()
	f, err := q.File()
	labtest.Must(t, err)
	defer f.Close()
	next, err := nfqueue.OpenFile(f, cfg)
	labtest.Must(t, err)
	t.Cleanup(func() { next.Close() })
	return next
}

// TestOpenFileRefusesOtherFiles: OpenFile refuses a file that is not a queue's socket.
func TestOpenFileRefusesOtherFiles(t *testing.T) {
	f, err := os.Open("/dev/null")
	labtest.Must(t, err)
	defer f.Close()
	if _, err := nfqueue.OpenFile(f, nfqueue.Config{}); err == nil {
		t.Error("/dev/null was taken for a queue")
	}
}

// TestOpenFileLeavesNothing: OpenFile that fails closes its socket, or the queue would stay bound.
func TestOpenFileLeavesNothing(t *testing.T) {
	h := labtest.Host(t)
	q := queuelab.Open(t, h, nfqueue.Config{Queue: 1})
	f, err := q.File()
	labtest.Must(t, err)
	null, err := os.Open("/dev/null")
	labtest.Must(t, err)
	defer null.Close()
	if _, err := nfqueue.OpenFile(f, nfqueue.Config{Queue: 1, NetNS: int(null.Fd())}); err == nil {
		t.Error("/dev/null was taken for a network namespace")
	}
	labtest.Must(t, f.Close())
	labtest.Must(t, q.Close())
	labtest.Must(t, queuelab.Open(t, h, nfqueue.Config{Queue: 1}).Close())
}

// TestFileHasTheOptions: OpenFile sets no option, since the socket keeps those of the process that
// opened it.
func TestFileHasTheOptions(t *testing.T) {
	q := queuelab.Open(t, labtest.Host(t), nfqueue.Config{Queue: 1})
	f, err := q.File()
	labtest.Must(t, err)
	defer f.Close()
	for name, option := range map[string]int{
		"NETLINK_NO_ENOBUFS": unix.NETLINK_NO_ENOBUFS,
		"NETLINK_CAP_ACK":    unix.NETLINK_CAP_ACK,
	} {
		on, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_NETLINK, option)
		labtest.Must(t, err)
		if on != 1 {
			t.Errorf("%s is %d", name, on)
		}
	}
	peer, err := unix.Getpeername(int(f.Fd()))
	labtest.Must(t, err)
	if kernel, ok := peer.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
		t.Errorf("the socket is connected to %+v", peer)
	}
}
