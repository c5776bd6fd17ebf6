// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// few is a length of a queue with which all packets and the replies to their verdicts fit into the
// receive buffer, also if net.core.rmem_max limits it.
const few = 100

// TestKernelFaultDeviceDown takes the input device of the flood down, and up again.
func TestKernelFaultDeviceDown(t *testing.T) {
	l, n := newPairLab(t, netlab.Queue{Num: 1})
	keep := keeper{max: 10}
	s := l.serve(nfqueue.Config{MaxLen: few, Fallback: nfqueue.Accept}, keep.handle)
	flood := l.flood(1)
	for range 5 {
		keep.again(10)
		keep.full(t)
		s.awaitHandled(100)
		labtest.Must(t, n.Server.SetUp(netlab.Eth, false))
		gone := s.Stats().TooLate
		keep.letGo(t)
		await(t, "verdicts for packets that are gone",
			func() bool { return s.Stats().TooLate >= gone+10 })
		labtest.Must(t, n.Server.SetUp(netlab.Eth, true))
		s.awaitHandled(100)
	}
	flood()
	s.wantPassed(s.shutdown())
}

// TestKernelFaultDeviceDeleted removes the input device of the flood. The queue goes on with
// packets of another device.
func TestKernelFaultDeviceDeleted(t *testing.T) {
	l, n := newPairLab(t, netlab.Queue{Num: 1})
	keep := keeper{max: 10}
	s := l.serve(nfqueue.Config{MaxLen: few}, keep.handle)
	flood := l.flood(1)
	keep.full(t)
	s.awaitHandled(100)
	labtest.Must(t, n.Server.DelLink(netlab.Eth))
	gone := s.Stats().TooLate
	keep.letGo(t)
	await(t, "verdicts for packets that are gone", func() bool { return s.Stats().TooLate >= gone+10 })
	flood()
	l.dial = func(t testing.TB) net.Conn {
		return queuelab.DialUDP(t, n.Server, netip.AddrPortFrom(queuelab.Localhost, queuelab.Port))
	}
	flood = l.flood(1)
	l.awaitPassed(100)
	flood()
	s.wantPassed(s.shutdown())
}

// TestKernelFaultChainDeleted removes a base chain, the queueing one or another. The kernel then
// drops all packets in all queues.
func TestKernelFaultChainDeleted(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	keep := keeper{}
	s := l.serve(nfqueue.Config{MaxLen: few}, keep.handle)
	flood := l.flood(2)
	for i := range 6 {
		keep.again(10)
		keep.full(t)
		s.awaitHandled(100)
		chain := l.queueing
		if i%2 == 0 {
			chain = labtest.Chain(t, l.Host, netlab.IP, netlab.Forward, 5)
		}
		labtest.Must(t, chain.Delete())
		gone := s.Stats().TooLate
		keep.letGo(t)
		await(t, "verdicts for packets that are gone",
			func() bool { return s.Stats().TooLate >= gone+10 })
		if i%2 != 0 {
			before := l.count()
			await(t, "datagrams pass without a queue", func() bool { return l.count() >= before+100 })
			// No verdict decided those: start counting anew.
			flood()
			effective := s.shutdown()
			if l.count() < effective {
				t.Errorf("%d datagrams have gone on, %d verdicts let them", l.count(), effective)
			}
			l.passed = queuelab.Counted(t, l.Host, netlab.IP)
			l.queueing = labtest.Chain(t, l.Host, netlab.IP, netlab.Output, 0)
			s = l.serve(nfqueue.Config{MaxLen: few}, keep.handle)
			l.rule = queuelab.QueueUDP(t, l.queueing, netlab.Queue{Num: 1})
			flood = l.flood(2)
		}
		s.awaitHandled(100)
	}
	flood()
	s.wantPassed(s.shutdown())
}

// TestKernelFaultBatchesGone checks batch messages. The kernel reports gone packets only if it
// finds none of a batch. So at least as many verdicts had an effect as packets went on, and a batch
// never decides another packet.
func TestKernelFaultBatchesGone(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	s := l.serve(nfqueue.Config{MaxLen: few}, queuelab.Always(nfqueue.Accept))
	flood := l.flood(4)
	for range 20 {
		s.awaitHandled(100)
		labtest.Must(t, labtest.Chain(t, l.Host, netlab.IP, netlab.Forward, 5).Delete())
	}
	s.awaitHandled(100)
	flood()
	if effective, passed := s.shutdown(), l.count(); passed > effective || passed == 0 {
		t.Errorf("%d datagrams have gone on, %d verdicts let them", passed, effective)
	}
}

// TestKernelFaultRuleRemoved removes the rule: packets that wait stay, and nothing is lost.
func TestKernelFaultRuleRemoved(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	keep := keeper{max: 10}
	s := l.serve(nfqueue.Config{Flags: nfqueue.FailOpen}, keep.handle)
	flood := l.flood(2)
	for range 10 {
		keep.again(10)
		keep.full(t)
		s.awaitHandled(100)
		labtest.Must(t, l.rule.Delete())
		keep.letGo(t)
		l.awaitPassed(100)
		l.rule = queuelab.QueueUDP(t, l.queueing, netlab.Queue{Num: 1})
	}
	s.awaitHandled(100)
	sent := flood()
	if effective := s.shutdown(); effective != s.Stats().Received {
		t.Errorf("%+v", s.Stats())
	}
	if passed := l.count(); passed != sent {
		t.Errorf("%d datagrams were sent, %d have gone on", sent, passed)
	}
}

// TestKernelFaultNamespaceDeleted closes the network namespace: the queue keeps it alive until the
// queue is closed.
func TestKernelFaultNamespaceDeleted(t *testing.T) {
	l, n := newPairLab(t, netlab.Queue{Num: 1})
	s := l.serve(nfqueue.Config{MaxLen: few}, queuelab.Marked)
	flood := l.flood(1)
	s.awaitHandled(100)
	labtest.Must(t, n.Server.Close())
	s.awaitHandled(100)
	s.shutdown()
	await(t, "the namespace and the device in it go", func() bool {
		err := n.Client.Do(func() error {
			_, err := net.InterfaceByName(netlab.Eth)
			return err
		})
		return err != nil
	})
	flood()
}
