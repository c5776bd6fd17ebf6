// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/queuerules"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// neighbour is another program's queue with packets that wait.
type neighbour struct {
	t    *testing.T
	udp  *labtest.UDP
	held chan *nfqueue.Held
	sent []string
}

const (
	neighbourQueue = 900
	neighbourPort  = 9000
)

// newNeighbour serves a queue of a host, in which all packets wait until release.
func newNeighbour(t *testing.T, h *netlab.Host) *neighbour {
	t.Helper()
	labtest.Rule(t, labtest.Chain(t, h, netlab.IP, netlab.Output, -10),
		netlab.L4Proto(unix.IPPROTO_UDP), netlab.DstPort(neighbourPort),
		netlab.ToQueue(netlab.Queue{Num: neighbourQueue}))
	q, err := nfqueue.Open(nfqueue.Config{Queue: neighbourQueue, NetNS: h.FD()})
	labtest.Must(t, err)
	n := &neighbour{t: t, held: make(chan *nfqueue.Held, 100)}
	served := make(chan error, 1)
	go func() {
		hold := func(p *nfqueue.Packet) nfqueue.Verdict {
			n.held <- p.Defer()
			return nfqueue.Deferred
		}
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(hold))
	}()
	t.Cleanup(func() {
		q.Close()
		if err := <-served; err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
	})
	n.udp = labtest.SendUDP(t, h, h,
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), neighbourPort))
	return n
}

// fill has 40 packets wait.
func (n *neighbour) fill() {
	n.t.Helper()
	n.sent = nil
	for i := range 40 {
		n.sent = append(n.sent, strconv.Itoa(i))
		n.udp.Send(n.t, n.sent[i])
	}
	for len(n.held) < len(n.sent) {
		time.Sleep(time.Millisecond)
	}
}

// release has the packets go on, and checks that each arrives. Then no packet waits.
func (n *neighbour) release() {
	n.t.Helper()
	arrived, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case h := <-n.held: // also one that the kernel has queued again
				_ = h.Resolve(nfqueue.Accept)
			case <-arrived:
				return
			}
		}
	}()
	defer func() { close(arrived); <-stopped }()
	n.udp.Arrive(n.t, n.sent...)
}

// TestEndSparesNeighbours: packets that wait in another program's queue when nfq ends arrive. SIGHUP
// may come twice when a terminal closes.
func TestEndSparesNeighbours(t *testing.T) {
	for _, c := range []struct {
		args []string
		by   unix.Signal
	}{
		{[]string{"dump", "in icmp"}, unix.SIGINT},
		{[]string{"dump", "in icmp"}, unix.SIGHUP},
		{[]string{"dump", "out", "udp", "dport", "1", "ct", "new"}, unix.SIGTERM},
		{[]string{"impair", "--delay", "1ms", "out udp dport 1"}, unix.SIGINT},
	} {
		t.Run(fmt.Sprintf("%v %v", c.args[:2], c.by), func(t *testing.T) {
			h := labtest.Host(t)
			n := newNeighbour(t, h)
			cmd := command(c.args...)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, c.by) // or nfq inherits that nohup ignores it
			labtest.Must(t, h.Do(cmd.Start))
			signal.Stop(caught)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			awaitRules(t, h, ended, &said, func(n int) bool { return n > 1 })
			n.fill()
			labtest.Must(t, cmd.Process.Signal(c.by))
			awaitRules(t, h, ended, &said, func(n int) bool { return n == 1 })
			if c.by == unix.SIGHUP {
				labtest.Must(t, cmd.Process.Signal(c.by))
			}
			n.release()
			if err := <-ended; err != nil {
				t.Errorf("%v\n%s", err, &said)
			}
			for _, table := range tablesIn(t, h) {
				if strings.HasPrefix(table.Name, "nfqueue-") {
					t.Errorf("table %s is left", table.Name)
				}
			}
		})
	}
}

// startsBesideNeighbour are arguments of nfq.
var startsBesideNeighbour = [][]string{
	{"dump", "in icmp"},
	{"dump", "out udp dport 1"},
	{"impair", "--delay", "1ms", "out udp dport 1"},
	{"dump", "in tcp ct new"},
	{"dump", "out queue 900"}, // which is in use
}

// TestEndAtAnyTimeSparesNeighbours: packets that wait in another program's queue when nfq is told
// to end arrive, whether it has not begun yet, is about to begin, or runs. No packet of the
// neighbour is on its way when nfq removes its chains, since then one may be lost.
func TestEndAtAnyTimeSparesNeighbours(t *testing.T) {
	const holds = 200 * time.Millisecond // enough for an nfq that does not wait to end
	h := labtest.Host(t)
	n := newNeighbour(t, h)
	keepConntrack(t, h)
	for _, args := range startsBesideNeighbour {
		for _, runs := range []time.Duration{0, 30 * time.Millisecond, 200 * time.Millisecond} {
			cmd := command(args...)
			labtest.Must(t, h.Do(cmd.Start))
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			time.Sleep(runs)
			n.fill()
			_ = cmd.Process.Signal(os.Interrupt)
			select {
			case err := <-ended:
				ended <- err
			case <-time.After(holds):
			}
			n.release()
			var exit *exec.ExitError
			if err := <-ended; err != nil && !errors.As(err, &exit) {
				t.Error(err)
			}
		}
	}
}

// keepConntrack uses connection tracking until the test ends. The kernel removes the hooks of
// conntrack some time after the last use, which drops what waits in all queues. It returns the
// name of its table.
func keepConntrack(t *testing.T, h *netlab.Host) string {
	t.Helper()
	return labtest.Install(t, h, "in tcp dport 1 ct new").Table()
}

// awaitRules waits until so many rules queue in a host.
func awaitRules(
	t *testing.T,
	h *netlab.Host,
	ended chan error,
	said *bytes.Buffer,
	enough func(int) bool,
) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		found, err := netlab.In(h, queuerules.NFTables)
		labtest.Must(t, err)
		if enough(len(found)) {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("nfq has ended: %v\n%s", err, said)
		default:
		}
	}
	t.Fatal("the rules do not come or go")
}

// TestFailedStartSparesNeighbours: nfq that cannot open its queue costs nobody a packet.
func TestFailedStartSparesNeighbours(t *testing.T) {
	h := labtest.Host(t)
	taken, err := nfqueue.Open(nfqueue.Config{Queue: 5, NetNS: h.FD()})
	labtest.Must(t, err)
	defer taken.Close()
	n := newNeighbour(t, h)
	n.fill()
	cmd := command("dump", "out", "udp", "dport", "1", "queue", "5")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	_ = h.Do(cmd.Run)
	if code := cmd.ProcessState.ExitCode(); code == exitOK {
		t.Errorf("exit code %d\n%s", code, &said)
	}
	n.release()
}
