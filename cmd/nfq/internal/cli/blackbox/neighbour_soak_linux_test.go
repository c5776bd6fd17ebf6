// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// soakEnv is how long TestSoakBesideNeighbour takes.
const soakEnv = "NFQ_NEIGHBOUR_SOAK"

// TestSoakBesideNeighbour starts and stops nfq again and again while another program serves a queue
// with 2000 packets a second, in bursts. Not one of them is lost.
func TestSoakBesideNeighbour(t *testing.T) {
	length := 5 * time.Second
	if d, err := time.ParseDuration(os.Getenv(soakEnv)); err == nil {
		length = d
	}
	h := labtest.Host(t)
	labtest.Rule(
		t,
		labtest.Chain(t, h, netlab.IP, netlab.Output, -10),
		netlab.L4Proto(unix.IPPROTO_UDP),
		netlab.DstPort(neighbourPort),
		netlab.ToQueue(netlab.Queue{Num: neighbourQueue}),
	)
	q, err := nfqueue.Open(nfqueue.Config{Queue: neighbourQueue, NetNS: h.FD()})
	labtest.Must(t, err)
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept
		}))
	}()
	t.Cleanup(func() {
		q.Close()
		if err := <-served; err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			t.Error(err)
		}
	})
	udp := labtest.SendUDP(
		t,
		h,
		h,
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), neighbourPort),
	)
	stop, sent := make(chan struct{}), make(chan uint32, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(0); ; {
			select {
			case <-tick.C:
			case <-stop:
				sent <- n
				return
			}
			for range 20 {
				_, _ = udp.From.Write(binary.BigEndian.AppendUint32(nil, n))
				n++
			}
		}
	}()
	received := make(chan map[uint32]bool, 1)
	go func() {
		all := make(map[uint32]bool)
		b := make([]byte, 16)
		for {
			if n, err := udp.To.Read(b); err != nil || n == 1 {
				received <- all
				return
			}
			all[binary.BigEndian.Uint32(b)] = true
		}
	}()
	rounds := 0
	for end := time.Now().Add(length); time.Now().Before(end); rounds++ {
		args := [][]string{
			{
				"dump",
				"in icmp",
			}, {"dump", "out udp dport 1"}, {"impair", "--delay", "1ms", "out udp dport 1"},
			{"dump", "in tcp ct new"}, {"dump", "out queue 900"}, // which is in use
		}
		cmd := command(args[rand.IntN(len(args))]...)
		labtest.Must(t, h.Do(cmd.Start))
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // it may not even have started
		_ = cmd.Process.Signal(os.Interrupt)
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	}
	close(stop)
	n := <-sent
	udp.Send(t, ".") // behind all of them
	all := <-received
	if lost := int(n) - len(all); lost != 0 {
		t.Errorf("%d of %d packets of the neighbour are lost in %d rounds", lost, n, rounds)
	}
	t.Logf("%d packets in %d rounds", n, rounds)
}
