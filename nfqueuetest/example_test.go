// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/exampletb"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// t stands for the *testing.T of a test function.
var t exampletb.T

func TestMain(m *testing.M) {
	status := m.Run()
	if t.End(); t.Failed() {
		status = 1
	}
	os.Exit(status)
}

// markDNS is the handler under test.
var markDNS = nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
	if flow, ok := p.Flow(); ok && flow.DstPort == 53 {
		p.SetMark(53)
	}
	return nfqueue.Accept
})

// Show one packet to a handler.
func ExampleDo() {
	client, server := netip.MustParseAddrPort("192.0.2.1:4000"),
		netip.MustParseAddrPort("192.0.2.53:53")
	got := nfqueuetest.Do(&t, nfqueue.Config{}, markDNS, nfqueuetest.Spec{
		Hook:    nfqueue.HookOutput,
		Payload: nfqueuetest.DNSQuery(client, server, 1, "www.example.org", nfqueuetest.DNSTypeA),
	})
	if got.Verdict != nfqueue.Accept || got.Mark != 53 {
		t.Errorf("verdict %v, mark %d", got.Verdict, got.Mark)
	}
	fmt.Println(got.Verdict, got.Mark)
	// Output: accept 53
}

// Let packets be lost before they reach a queue.
func ExampleKernel() {
	k := nfqueuetest.NewKernel(&t)
	q := k.Serve(nfqueue.Config{Queue: 5, MaxLen: 100}, markDNS)

	k.Overrun(5, 3) // the receive buffer has no room for three packets
	for range 4 {
		fmt.Println(k.Send(5, nfqueuetest.Spec{}).Result().Cause)
	}
	if got := q.Stats().Lost; got != 3 {
		t.Errorf("%d packets counted as lost", got)
	}
	// Output:
	// the receive buffer was full
	// the receive buffer was full
	// the receive buffer was full
	// decided by a verdict
}

// Follow a packet that is deferred, while others pass it.
func ExampleKernel_Send() {
	k := nfqueuetest.NewKernel(&t)
	held := make(chan *nfqueue.Held, 1)
	k.Serve(nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 1 {
			held <- p.Defer()
			return nfqueue.Deferred
		}
		return nfqueue.Accept
	}))

	first, second := k.Send(0, nfqueuetest.Spec{}), k.Send(0, nfqueuetest.Spec{})
	fmt.Println("second:", second.Result().Verdict)
	if err := (<-held).Resolve(nfqueue.Drop); err != nil {
		t.Error(err)
	}
	fmt.Println("first:", first.Result().Verdict)
	// Output:
	// second: accept
	// first: drop
}

// Show the packets of a capture to a handler.
func ExampleReplay() {
	capture, err := os.Open("../testdata/captures/dns.pcapng")
	if err != nil {
		log.Fatal(err)
	}
	defer capture.Close()
	marked := 0
	for r, err := range nfqueuetest.Replay(capture, nfqueue.Config{}, markDNS,
		nfqueuetest.Spec{Hook: nfqueue.HookForward}) {
		if err != nil {
			log.Fatal(err)
		}
		if r.Mark == 53 {
			marked++
		}
	}
	fmt.Println(marked, "packets to a DNS server")
	// Output: 19 packets to a DNS server
}

// Make packets that none of UDP, TCP, Echo and DNSQuery makes: here an ICMP error.
func ExampleIP() {
	client, router := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.254")
	unreachable := nfqueuetest.IP(router, client, nfqueue.ICMP, []byte{3, 1, 0, 0, 0, 0, 0, 0})
	got := nfqueuetest.Do(&t, nfqueue.Config{}, markDNS, nfqueuetest.Spec{Payload: unreachable})
	fmt.Println(len(got.Payload), got.Verdict)
	// Output: 28 accept
}
