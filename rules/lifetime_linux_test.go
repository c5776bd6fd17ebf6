// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ownerEnv makes the test program install the rule that it holds, say so, and wait to be
// killed.
const ownerEnv = "RULES_TEST_OWN"

func own() {
	r, err := rules.Parse(os.Getenv(ownerEnv))
	if err != nil {
		panic(err)
	}
	set, err := rules.Install(rules.Config{NetNS: 3}, r)
	if err != nil {
		panic(err)
	}
	if r.Offload != (rules.Offload{}) {
		q, err := nfqueue.Open(nfqueue.Config{NetNS: 3})
		if err != nil {
			panic(err)
		}
		go func() {
			panic(q.Serve(context.Background(), nfqueue.HandlerFunc(r.Offload.Accept)))
		}()
	}
	fmt.Println(set.Table(), set.Owned())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, if it does not kill
}

// startOwner starts the test program as the owner of a rule, and returns it when the rule
// is there, and the name of its table.
func startOwner(t *testing.T, h *netlab.Host, rule string) (cmd *exec.Cmd, table string) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), ownerEnv+"="+rule)
	cmd.ExtraFiles = []*os.File{labtest.NetNS(t, h)}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	labtest.Must(t, err)
	_, err = cmd.StdinPipe()
	labtest.Must(t, err)
	labtest.Must(t, cmd.Start())
	var owned bool
	if _, err = fmt.Fscan(bufio.NewReader(stdout), &table, &owned); err != nil {
		_ = cmd.Wait()
		t.Fatal(err)
	}
	if want := labtest.AtLeast(t, 5, 12); owned != want {
		t.Errorf("owned %v, want %v", owned, want)
	}
	return cmd, table
}

// tables returns the names of the tables in a host.
func tables(t testing.TB, h *netlab.Host) []string {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	list, err := c.ListTables()
	labtest.Must(t, err)
	var names []string
	for _, table := range list {
		names = append(names, table.Name)
	}
	return names
}

// TestKilledOwner: the rules of a process vanish with it.
func TestKilledOwner(t *testing.T) {
	h := labtest.Host(t)
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	other := listenUDP(t, h, netip.AddrPortFrom(loopback, 2001))

	cmd, name := startOwner(t, h, "in udp dport 2000 nobypass")
	if !slices.Contains(tables(t, h), name) {
		t.Error("no table", name)
	}
	sendUDP(t, other, l, []byte("lost"))
	sendUDP(t, l, other, []byte("not concerned"))
	wantReceived(t, other, []byte("not concerned"))
	labtest.Must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != unix.SIGKILL {
		t.Fatal("the owner ended before it was killed:", cmd.ProcessState)
	}
	if !labtest.AtLeast(t, 5, 12) {
		if !slices.Contains(tables(t, h), name) {
			t.Error("the table is not owned and has vanished all the same")
		}
		return
	}
	if names := tables(t, h); len(names) != 0 {
		t.Error("tables are left:", names)
	}
	sendUDP(t, other, l, plain)
	wantReceived(t, l, plain)
}

// TestOwnership: nobody else can change an owned table.
func TestOwnership(t *testing.T) {
	h := labtest.Host(t)
	set := labtest.Install(t, h, "out udp")
	c, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: set.Table()})
	if err := c.Flush(); (err != nil) != set.Owned() {
		t.Errorf("owned %v, delete: %v", set.Owned(), err)
	}
}

// TestBypass: without a consumer packets pass, or not with NoBypass.
func TestBypass(t *testing.T) {
	h := labtest.Host(t)
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	labtest.Install(t, h, "in udp dport 2000")
	sendUDP(t, l, l, plain)
	wantReceived(t, l, plain)
	strict := labtest.Install(t, h, "in udp dport 2000 queue 1 nobypass priority 1")
	sendUDP(t, l, l, []byte("lost"))
	labtest.Must(t, strict.Stop())
	sendUDP(t, l, l, plain)
	wantReceived(t, l, plain)
}

// TestInstallAllOrNone: one rule that the kernel refuses keeps out the others. Whether it
// does depends on how it can queue.
func TestInstallAllOrNone(t *testing.T) {
	h := labtest.Host(t)
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, parse(t, "in udp"),
		parse(t, "in bridge"))
	want := 0
	if err == nil {
		want = 2 // of one name
		defer set.Close()
	} else if !errors.Is(err, errors.ErrUnsupported) ||
		!strings.Contains(err.Error(), "nft_queue") {
		t.Error(err)
	}
	if names := tables(t, h); len(names) != want {
		t.Errorf("tables %v; Install: %v", names, err)
	}
}

// TestFamilies installs rules of several families together and removes them.
func TestFamilies(t *testing.T) {
	h := labtest.Host(t)
	set := labtest.Install(t, h, "in ip udp", "in ip6 udp", "in udp priority 10", "out udp priority -10")
	if names := tables(t, h); !slices.Equal(names, []string{set.Table()}) {
		t.Errorf("tables %v, want %v", names, set.Table())
	}
	labtest.Must(t, set.Stop())
	labtest.Must(t, set.Stop())
	if names := tables(t, h); len(names) != 1 {
		t.Errorf("tables %v after Stop", names)
	}
	labtest.Must(t, set.Close())
	labtest.Must(t, set.Close())
	labtest.Must(t, set.Stop())
	if names := tables(t, h); len(names) != 0 {
		t.Errorf("tables %v after Close", names)
	}
}

// TestManyRules: more than the socket's buffer holds at first.
func TestManyRules(t *testing.T) {
	h := labtest.Host(t)
	var many []string
	for i := range 600 {
		many = append(many, fmt.Sprintf("in udp dport %d queue %d nobypass", 2000+i, i))
	}
	labtest.Install(t, h, many...)
	rewrite(t, h, 599)
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2599))
	sendUDP(t, l, l, plain)
	wantReceived(t, l, queued)
}

// pending is a queue in which packets wait until the handler may go on.
type pending struct {
	queue   *nfqueue.Queue
	set     *rules.Set
	l       *net.UDPConn
	served  chan error
	release chan struct{}
}

const waiting = 50

// newPending fills a queue. The handler has got the first packet.
func newPending(t *testing.T) *pending {
	labtest.NeedReplace(t)
	h := labtest.Host(t)
	p := &pending{served: make(chan error, 1), release: make(chan struct{})}
	p.set = labtest.Install(t, h, "in udp dport 2000 nobypass")
	var err error
	p.queue, err = nfqueue.Open(nfqueue.Config{NetNS: h.FD(), Fallback: nfqueue.Accept})
	labtest.Must(t, err)
	t.Cleanup(func() { p.queue.Close() })
	p.l = listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	for range waiting {
		sendUDP(t, p.l, p.l, plain)
	}
	got := make(chan struct{}, waiting)
	go func() {
		p.served <- p.queue.Serve(context.Background(),
			nfqueue.HandlerFunc(func(q *nfqueue.Packet) nfqueue.Verdict {
				got <- struct{}{}
				<-p.release
				return stamp(q)
			}))
	}()
	select {
	case <-got:
	case <-time.After(patience):
		t.Fatal("nothing was queued")
	}
	return p
}

// shutdown lets the handler go on and drains the queue.
func (p *pending) shutdown(t *testing.T) {
	t.Helper()
	close(p.release)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	labtest.Must(t, p.queue.Shutdown(ctx))
	labtest.Must(t, <-p.served)
}

// TestStopLosesNothing ends in the order of the package documentation.
func TestStopLosesNothing(t *testing.T) {
	p := newPending(t)
	labtest.Must(t, p.set.Stop())
	sendUDP(t, p.l, p.l, []byte("not queued"))
	wantReceived(t, p.l, []byte("not queued"))
	p.shutdown(t)
	labtest.Must(t, p.set.Close())
	for range waiting {
		wantReceived(t, p.l, queued)
	}
}

// TestShutdownThenCloseLosesNothing ends without Stop, as deferred calls do if there is
// none.
func TestShutdownThenCloseLosesNothing(t *testing.T) {
	p := newPending(t)
	p.shutdown(t)
	labtest.Must(t, p.set.Close())
	for range waiting {
		wantReceived(t, p.l, queued)
	}
}

// TestCloseWaits: Close loses nothing either as long as the queue is served.
func TestCloseWaits(t *testing.T) {
	p := newPending(t)
	closed := make(chan error, 1)
	go func() { closed <- p.set.Close() }()
	close(p.release)
	labtest.Must(t, <-closed)
	for range waiting {
		wantReceived(t, p.l, queued)
	}
	labtest.Must(t, p.queue.Shutdown(context.Background()))
	labtest.Must(t, <-p.served)
}
