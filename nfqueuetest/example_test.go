// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket/layers"
)

// t stands for the *testing.T of a test function.
var t *testing.T

// markDNS is the handler under test.
var markDNS = nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
	p.SetMark(53)
	return nfqueue.Accept
})

func ExampleDo() {
	client, server := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.53:53")
	got := nfqueuetest.Do(t, markDNS, nfqueuetest.Spec{
		Hook:    nfqueue.HookOutput,
		Payload: nfqueuetest.DNSQuery(client, server, 1, "www.example.org", layers.DNSTypeA),
	})
	if got.Verdict != nfqueue.Accept || got.Mark != 53 {
		t.Errorf("verdict %v, mark %d", got.Verdict, got.Mark)
	}
}

func ExampleKernel() {
	k := nfqueuetest.NewKernel(t)
	q := k.Serve(nfqueue.Config{Queue: 5, MaxLen: 100}, markDNS)

	k.Overrun(5, 3) // the receive buffer has no room for three packets
	for range 4 {
		k.Send(5, nfqueuetest.Spec{}).Result()
	}
	if got := q.Stats().Lost; got != 3 {
		t.Errorf("%d packets counted as lost", got)
	}
}
