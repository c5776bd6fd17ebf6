// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// The environment of TestSoakBesideNeighbour.
const (
	soakEnv = "NFQ_NEIGHBOUR_SOAK"      // how long it takes, as time.ParseDuration reads it
	seedEnv = "NFQ_NEIGHBOUR_SOAK_SEED" // repeats the random choices of an earlier run
)

// soakPrograms are what TestSoakBesideNeighbour starts. Some also queue the packets of the
// neighbour, behind its hook or before.
var soakPrograms = []func() *exec.Cmd{
	func() *exec.Cmd { return command("dump", "in icmp") },
	func() *exec.Cmd { return command("dump", "out udp dport 1") },
	func() *exec.Cmd { return command("dump", "in tcp ct new") },
	func() *exec.Cmd { return command("dump", "out udp dport 9000") },
	func() *exec.Cmd { return command("dump", "out udp dport 9001 priority -20") },
	func() *exec.Cmd { return command("dump", "out queue 900") }, // which is in use
	func() *exec.Cmd { return command("impair", "--delay", "1ms", "out udp dport 1") },
	func() *exec.Cmd { return command("impair", "--delay", "1ms", "out udp dport 9001") },
	func() *exec.Cmd { return command("run", "--", "/proc/self/exe", actArg, "wait") },
	func() *exec.Cmd {
		return command("run", "-q", "--impair", "delay 1ms", "--", "/proc/self/exe", actArg, "numbers")
	},
	func() *exec.Cmd { return actor("rules", "out udp dport 2 queue 70") },
	func() *exec.Cmd { return actor("rules", "out udp dport 9000 queue 71") },
	func() *exec.Cmd { return actor("rules", "out udp dport 2 ct new queue 72") },
}

// actor prepares a program that is not nfq. It leads a process group.
func actor(args ...string) *exec.Cmd {
	cmd := command(append([]string{actArg}, args...)...)
	cmd.Env = os.Environ()
	return cmd
}

// serveRule is a program with a rule of its own, which ends as the documentation advises.
func serveRule(text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	r, err := rules.Parse(text)
	if err != nil {
		return err
	}
	accept := nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })
	return rules.Run(ctx, nfqueue.Config{Fallback: nfqueue.Accept}, accept, r)
}

// stream is a queue of the neighbour and the packets that go through it. Each packet carries
// its index.
type stream struct {
	burst        int
	every, holds time.Duration // between bursts, and how long the packets of one wait
	udp          *labtest.UDP
	queue        *nfqueue.Queue

	mu      sync.Mutex
	held    []heldBack
	packets []soakPacket
}

type heldBack struct {
	*nfqueue.Held
	index uint32
}

// soakPacket is what became of a packet.
type soakPacket struct {
	sent     time.Time
	answered time.Time // for the last time: the kernel may queue a packet again
	arrived  bool
}

// newStream serves a queue that gets what is sent to a port.
func newStream(t *testing.T, h *netlab.Host, chain *netlab.Chain, number, port uint16, s *stream) {
	t.Helper()
	labtest.Rule(t, chain, netlab.L4Proto(unix.IPPROTO_UDP), netlab.DstPort(port),
		netlab.ToQueue(netlab.Queue{Num: number}))
	q, err := nfqueue.Open(nfqueue.Config{Queue: number, NetNS: h.FD()})
	labtest.Must(t, err)
	s.queue = q
	served := make(chan error, 1)
	go func() { served <- q.Serve(context.Background(), nfqueue.HandlerFunc(s.handle)) }()
	t.Cleanup(func() {
		labtest.Must(t, q.Close())
		if err := <-served; err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
	})
	s.udp = labtest.SendUDP(t, h, h,
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	labtest.Must(t, s.udp.To.SetReadBuffer(1<<20))
}

// handle is the handler of the queue.
func (s *stream) handle(p *nfqueue.Packet) nfqueue.Verdict {
	const headers = 28 // of IPv4 and UDP
	data := p.Payload()[headers:]
	if len(data) == 1 {
		return nfqueue.Accept
	}
	i := binary.BigEndian.Uint32(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds > 0 {
		s.held = append(s.held, heldBack{p.Defer(), i})
		return nfqueue.Deferred
	}
	s.packets[i].answered = time.Now()
	return nfqueue.Accept
}

// send sends until stop is closed.
func (s *stream) send(stop <-chan struct{}) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		for range s.burst {
			s.mu.Lock()
			i := uint32(len(s.packets))
			s.packets = append(s.packets, soakPacket{sent: time.Now()})
			s.mu.Unlock()
			_, _ = s.udp.From.Write(binary.BigEndian.AppendUint32(nil, i))
		}
		time.Sleep(s.holds)
		s.answer()
	}
}

// answer decides what is held.
func (s *stream) answer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		s.packets[h.index].answered = time.Now()
		_ = h.Resolve(nfqueue.Accept)
	}
	s.held = nil
}

// finish lets all packets go on, and sends one of one byte behind them.
func (s *stream) finish(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); s.queue.Stats().Kernel.Backlog > 0; s.answer() {
		if time.Now().After(end) {
			t.Fatal("packets of the neighbour do not leave its queue")
		}
		time.Sleep(time.Millisecond)
	}
	s.udp.Send(t, ".")
}

// receive counts what arrives until a datagram of one byte.
func (s *stream) receive(t *testing.T) {
	b := make([]byte, 16)
	for {
		n, err := s.udp.To.Read(b)
		if err != nil {
			t.Error(err)
			return
		}
		if n == 1 {
			return
		}
		s.mu.Lock()
		s.packets[binary.BigEndian.Uint32(b)].arrived = true
		s.mu.Unlock()
	}
}

// span is the life of a program from the signal that ends it.
type span struct {
	from, to time.Time
	how      string
	state    *os.ProcessState
	args     []string
}

const killed = "killed"

func (e span) String() string { return fmt.Sprint(e.how, " ", e.args, ": ", e.state) }

// passing is how long a packet may take to the queue of the neighbour, or from there to its
// receiver, through the queues of programs.
const passing = 50 * time.Millisecond

// waitedIn reports whether the packet may have been in a queue at some time of a span.
func (p soakPacket) waitedIn(k span) bool {
	end := p.answered
	if end.IsZero() {
		end = p.sent
	}
	return p.sent.Before(k.to) && end.Add(passing).After(k.from)
}

// count returns how many packets waited while a program was killed, how many of those are lost,
// and which of the others are.
func (s *stream) count(kills []span) (waited, allowed int, lost []int) {
	for i, p := range s.packets {
		inKill := slices.ContainsFunc(kills, p.waitedIn)
		if inKill {
			waited++
		}
		switch {
		case p.arrived:
		case inKill:
			allowed++
		default:
			lost = append(lost, i)
		}
	}
	return waited, allowed, lost
}

// soakRound is a program that is started, perhaps stopped for a while, and ended.
type soakRound struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	rnd  *rand.Rand
}

// run returns how the program was ended, and when.
func (r *soakRound) run(t *testing.T, h *netlab.Host) span {
	pause := func(most int) { time.Sleep(time.Duration(r.rnd.IntN(most)) * time.Millisecond) }
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	labtest.Must(t, h.Do(r.cmd.Start))
	pause(300) // it may not even have started
	how := "ended"
	if r.rnd.IntN(4) == 0 {
		how = "stopped and ended"
		r.signal(unix.SIGTSTP)
		r.awaitState(3*time.Second, "T")
		pause(30)
		r.signal(unix.SIGCONT)
		pause(20)
	}
	from := time.Now()
	switch r.rnd.IntN(5) {
	case 0:
		how = killed
		r.signal(unix.SIGKILL)
	case 1, 2:
		r.signal(unix.SIGTERM)
	default:
		r.signal(unix.SIGINT)
	}
	// It may have stopped itself late.
	for end := time.Now().Add(30 * time.Second); !r.awaitState(50*time.Millisecond, "Z"); {
		r.signal(unix.SIGCONT)
		if time.Now().After(end) {
			t.Errorf("%v does not end", r.cmd.Args)
			r.signal(unix.SIGKILL)
			break
		}
	}
	err := r.cmd.Wait()
	to := time.Now()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || strings.Contains(r.said.String(), "panic") {
		t.Errorf("%v: %v\n%s", r.cmd.Args, err, &r.said)
	}
	return span{from, to, how, r.cmd.ProcessState, r.cmd.Args[1:]}
}

// signal sends a signal to the program and its children, as a terminal does.
func (r *soakRound) signal(s unix.Signal) { _ = unix.Kill(-r.cmd.Process.Pid, s) }

// awaitState waits until the process has a state of proc(5), or has ended, and reports whether.
func (r *soakRound) awaitState(limit time.Duration, state string) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/stat")
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if err != nil || len(f) > 0 && (f[0] == state || f[0] == "Z") {
			return true
		}
	}
	return false
}

// TestSoakBesideNeighbour starts, stops, continues, ends and kills programs at random, two at a
// time, beside the queues of another program: packets wait in one of them for half of the time,
// and go through the other one by one. Each packet that was sent must arrive, unless it was on
// its way while a program died of SIGKILL.
func TestSoakBesideNeighbour(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakEnv))
	if err != nil {
		t.Skipf("set %s to a duration, such as 60s", soakEnv)
	}
	seed, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", seedEnv, seed)
	h := labtest.Host(t)
	tracking := keepConntrack(t, h)
	chain := labtest.Chain(t, h, netlab.IP, netlab.Output, -10)
	streams := []*stream{
		{burst: 20, every: 100 * time.Millisecond, holds: 50 * time.Millisecond},
		{burst: 1, every: 20 * time.Millisecond},
	}
	var sending, receiving sync.WaitGroup
	stop := make(chan struct{})
	for i, s := range streams {
		newStream(t, h, chain, neighbourQueue+uint16(i), neighbourPort+uint16(i), s)
		sending.Go(func() { s.send(stop) })
		receiving.Go(func() { s.receive(t) })
	}

	var mu sync.Mutex
	var ends, kills []span
	rounds, warned := make(map[string]int), 0
	var slots sync.WaitGroup
	end := time.Now().Add(length)
	for slot := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, slot))
		slots.Go(func() {
			for time.Now().Before(end) {
				r := &soakRound{cmd: soakPrograms[rnd.IntN(len(soakPrograms))](), rnd: rnd}
				end := r.run(t, h)
				mu.Lock()
				ends = append(ends, end)
				rounds[end.how]++
				warned += strings.Count(r.said.String(), "drops packets")
				if end.how == killed {
					kills = append(kills, end)
				}
				mu.Unlock()
			}
		})
	}
	slots.Wait()
	close(stop)
	sending.Wait()
	for _, s := range streams {
		s.finish(t)
	}
	receiving.Wait()
	t.Logf("rounds %v, %d warnings", rounds, warned)
	for i, s := range streams {
		waited, allowed, lost := s.count(kills)
		t.Logf("queue %d: %d packets, %d waited at a SIGKILL, which cost %d of them; %d others are lost",
			neighbourQueue+i, len(s.packets), waited, allowed, len(lost))
		for _, l := range lost {
			t.Errorf("packet %d of queue %d is lost", l, neighbourQueue+i)
			for _, e := range ends {
				if s.packets[l].waitedIn(e) {
					t.Logf("%v", e)
				}
			}
		}
	}
	for _, table := range tablesIn(t, h) {
		if table.Name != tracking && strings.HasPrefix(table.Name, "nfqueue-") {
			t.Errorf("table %s is left", table.Name)
		}
	}
}
