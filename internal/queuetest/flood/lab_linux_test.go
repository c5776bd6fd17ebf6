// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// These tests make things fail while the real kernel queues a flood of packets. Each asserts that
// nothing hangs, that the counters of Stats and of the rules agree, and that no goroutine and no
// descriptor is left.

// faultLab is a host that queues datagrams to queuelab.Port, and counts those that go on.
type faultLab struct {
	*netlab.Host
	t        testing.TB
	queueing *netlab.Chain
	rule     *netlab.Rule
	passed   *netlab.Rule
	dial     func(testing.TB) net.Conn // makes the socket of a flood
}

// newLoopLab queues the datagrams that the host sends to itself. A socket waits for the verdicts of
// some hundred datagrams before it sends more, so one socket does not overflow a queue.
func newLoopLab(t testing.TB, queue netlab.Queue) *faultLab {
	t.Helper()
	nothingLeft(t)
	h := labtest.Host(t)
	queuelab.ListenUDP(t, h, netip.AddrPortFrom(queuelab.Localhost, queuelab.Port)) // and nobody reads
	return newFaultLab(t, h, netlab.Output, queue, h, queuelab.Localhost)
}

// newPairLab queues the datagrams that the server receives from the client, which does not wait for
// verdicts.
func newPairLab(t testing.TB, queue netlab.Queue) (*faultLab, *netlab.Network) {
	t.Helper()
	nothingLeft(t)
	n := labtest.Pair(t)
	return newFaultLab(t, n.Server, netlab.Input, queue, n.Client, n.Server4), n
}

func newFaultLab(t testing.TB, h *netlab.Host, hook netlab.Hook, queue netlab.Queue,
	from *netlab.Host, to netip.Addr) *faultLab {
	t.Helper()
	l := &faultLab{Host: h, t: t}
	l.queueing = labtest.Chain(t, h, netlab.IP, hook, 0)
	l.rule = queuelab.QueueUDP(t, l.queueing, queue)
	later := []netlab.Expr{netlab.L4Proto(queuelab.UDP), netlab.DstPort(queuelab.Port),
		netlab.Counter()}
	if hook == netlab.Input {
		later = append(later, netlab.Drop()) // nobody listens
	}
	l.passed = labtest.Rule(t, labtest.Chain(t, h, netlab.IP, hook, 10), later...)
	l.dial = func(t testing.TB) net.Conn {
		c := queuelab.DialUDP(t, from, netip.AddrPortFrom(to, queuelab.Port))
		labtest.Must(t, c.SetWriteBuffer(100<<10)) // a few hundred datagrams
		return c
	}
	return l
}

// loopbackPort is the destination of a flood on one host.
func loopbackPort() netip.AddrPort { return netip.AddrPortFrom(queuelab.Localhost, queuelab.Port) }

// nothingLeft fails the test if it ends with more descriptors or goroutines than it had at the
// beginning.
func nothingLeft(t testing.TB) {
	startPoller(t)
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	t.Cleanup(func() {
		for end := time.Now().Add(queuelab.Patience); ; time.Sleep(time.Millisecond) { // the last ones are on their way
			g, d := runtime.NumGoroutine(), openDescriptors(t)
			if g <= goroutines && d <= descriptors {
				return
			}
			if time.Now().After(end) {
				t.Errorf("%d goroutines and %d descriptors; before there were %d and %d", g, d, goroutines,
					descriptors)
				return
			}
		}
	})
}

// startPoller has the runtime open the descriptors of its poller, which it keeps.
func startPoller(t testing.TB) {
	r, w, err := os.Pipe()
	labtest.Must(t, err)
	r.Close()
	w.Close()
}

func openDescriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	labtest.Must(t, err)
	return len(entries)
}

// count returns how many datagrams have passed the queue.
func (l *faultLab) count() uint64 {
	l.t.Helper()
	n, _, err := l.passed.Count()
	labtest.Must(l.t, err)
	return n
}

// await waits for something that must happen.
func await(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(queuelab.Patience); !reached(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, queuelab.Patience)
		}
	}
}

// awaitPassed waits until a number of further datagrams have passed.
func (l *faultLab) awaitPassed(more uint64) {
	l.t.Helper()
	from := l.count()
	await(l.t, "datagrams go on behind the queue", func() bool { return l.count() >= from+more })
}

// flood sends datagrams from n sockets until stop is called, and ignores errors. stop returns how
// many were sent.
func (l *faultLab) flood(n int) (stop func() uint64) {
	l.t.Helper()
	var sent atomic.Uint64
	var wg sync.WaitGroup
	var quit atomic.Bool
	var conns []net.Conn
	for range n {
		c := l.dial(l.t)
		conns = append(conns, c)
		wg.Go(func() {
			b := make([]byte, 32)
			for !quit.Load() {
				if _, err := c.Write(b); err == nil {
					sent.Add(1)
				} else if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
					return
				} else {
					time.Sleep(100 * time.Microsecond) // there is no route for now
				}
			}
		})
	}
	stop = sync.OnceValue(func() uint64 {
		quit.Store(true)
		for _, c := range conns {
			_ = c.SetDeadline(time.Unix(1, 0)) // it may wait for room that nobody makes
		}
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
		return sent.Load()
	})
	l.t.Cleanup(func() { stop() })
	return stop
}

// faultServe is a queue that is being served.
type faultServe struct {
	*nfqueue.Queue
	l      *faultLab
	result chan error
}

// serve opens queue 1 and serves it.
func (l *faultLab) serve(cfg nfqueue.Config, h nfqueue.HandlerFunc) *faultServe {
	l.t.Helper()
	cfg.Queue = 1
	s := &faultServe{queuelab.Open(l.t, l.Host, cfg), l, make(chan error, 1)}
	go func() { s.result <- s.Serve(context.Background(), h) }()
	return s
}

// awaitHandled waits until handlers have seen a number of further packets of the queue.
func (s *faultServe) awaitHandled(more uint64) {
	s.l.t.Helper()
	handled := func() uint64 { st := s.Stats(); return st.Received - st.Undecided() }
	from := handled()
	await(s.l.t, "packets are handled", func() bool { return handled() >= from+more })
}

// shutdown ends the queue in time, and returns the number of verdicts that had an effect.
func (s *faultServe) shutdown() uint64 {
	s.l.t.Helper()
	queuelab.Stop(s.l.t, s.Queue)
	labtest.Must(s.l.t, queuelab.WaitFor(s.l.t, s.result))
	return queuelab.Settled(s.l.t, s.Queue)
}

// wantPassed fails the test unless as many datagrams have passed as verdicts let them.
func (s *faultServe) wantPassed(effective uint64) {
	s.l.t.Helper()
	if got := s.l.count(); got != effective {
		s.l.t.Errorf("%d datagrams have gone on, %d verdicts let them: %+v", got, effective, s.Stats())
	}
}

// keeper accepts packets, but holds some of them until letGo.
type keeper struct {
	mu   sync.Mutex
	kept []*nfqueue.Held
	max  int
}

func (k *keeper) handle(p *nfqueue.Packet) nfqueue.Verdict {
	p.SetMark(1)
	if p.ID()%3 == 0 && k.keep(p) {
		return nfqueue.Deferred
	}
	return nfqueue.Accept
}

func (k *keeper) keep(p *nfqueue.Packet) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.kept) == k.max {
		return false
	}
	k.kept = append(k.kept, p.Defer())
	return true
}

// full waits until the keeper holds as many packets as it may.
func (k *keeper) full(t testing.TB) {
	t.Helper()
	await(t, "packets are kept", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.kept) == k.max
	})
}

// letGo accepts all held packets. From then on the keeper holds none.
func (k *keeper) letGo(t testing.TB) {
	t.Helper()
	k.mu.Lock()
	kept := k.kept
	k.kept, k.max = nil, 0
	k.mu.Unlock()
	for _, h := range kept {
		if err := h.Resolve(nfqueue.Accept); err != nil {
			t.Error(err)
		}
	}
}

// again makes the keeper hold up to n packets again.
func (k *keeper) again(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.max = n
}

// consumedMark is the mark of the datagrams that the process consume has accepted.
const consumedMark = 0x17

// consume opens queue 1 as soon as it is free, prints a line, and accepts packets until standard
// input ends. Then it prints its counters.
func consume() {
	var q *nfqueue.Queue
	for {
		var err error
		q, err = nfqueue.Open(nfqueue.Config{Queue: 1})
		if err == nil {
			break
		}
		if !errors.Is(err, nfqueue.ErrQueueInUse) {
			fmt.Println(err)
			os.Exit(1)
		}
		time.Sleep(100 * time.Microsecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("ready", os.Getpid())
	err := q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		p.SetMark(consumedMark)
		return nfqueue.Accept
	}))
	s := q.Stats()
	fmt.Println("served", s.Received, s.Accepted,
		s.TooLate+s.Refused+s.Unsent+s.Abandoned+s.Undecided(), err)
}

// process is a child of the test.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
}

// start runs one of the children of Main in the host. prepare may change the command; it is called
// on the thread that forks.
func (l *faultLab) start(name string, prepare func(*exec.Cmd) error) *process {
	l.t.Helper()
	p := &process{t: l.t, cmd: exec.Command("/proc/self/exe"), lines: make(chan string, 100)}
	p.cmd.Env = append(os.Environ(), queuelab.ChildEnv+"="+name)
	p.cmd.Stderr = os.Stderr
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	labtest.Must(l.t, err)
	stdout, err := p.cmd.StdoutPipe()
	labtest.Must(l.t, err)
	labtest.Must(l.t, l.Do(func() error {
		if prepare != nil {
			if err := prepare(p.cmd); err != nil {
				return err
			}
		}
		return p.cmd.Start()
	}))
	read := make(chan bool)
	go func() {
		defer close(read)
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	l.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-read
		_ = p.cmd.Wait()
	})
	return p
}

// says returns the next line that the process prints.
func (p *process) says() string {
	p.t.Helper()
	return queuelab.WaitFor(p.t, p.lines)
}

func (p *process) signal(s unix.Signal) {
	p.t.Helper()
	labtest.Must(p.t, p.cmd.Process.Signal(s))
}

// finish has the process end and returns the numbers of packets that it has received,
// accepted, and not accounted for.
func (p *process) finish() (received, accepted, odd uint64) {
	p.t.Helper()
	p.stdin.Close()
	line := p.says()
	if _, err := fmt.Sscanf(line, "served %d %d %d <nil>", &received, &accepted, &odd); err != nil {
		p.t.Errorf("the process says %q", line)
	}
	return received, accepted, odd
}
