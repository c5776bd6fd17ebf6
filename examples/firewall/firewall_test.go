// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"log"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket/layers"
)

var (
	client   = netip.MustParseAddrPort("192.0.2.1:40000")
	client6  = netip.MustParseAddrPort("[2001:db8::1]:40000")
	resolver = netip.MustParseAddrPort("198.51.100.53:53")
	server   = netip.MustParseAddrPort("198.51.100.80:443")
	server6  = netip.MustParseAddrPort("[2001:db8:1::80]:443")
)

func newFirewall() (f *firewall, said *bytes.Buffer) {
	said = new(bytes.Buffer)
	return &firewall{blocked: []string{"ads.example", "example.org"}, log: log.New(said, "", 0)}, said
}

// One packet after the other: what is blocked, and what is not.
func TestVerdicts(t *testing.T) {
	query := func(name string) []byte {
		return nfqueuetest.DNSQuery(client, resolver, 1, name, layers.DNSTypeA)
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   nfqueue.Verdict
	}{
		{"a blocked name", query("ads.example"), nfqueue.Drop},
		{"below a blocked name", query("www.ads.example"), nfqueue.Drop},
		{"in capitals", query("WWW.Ads.Example"), nfqueue.Drop},
		{"another name", query("www.example"), nfqueue.Accept},
		{"another name with the same end", query("loads.example"), nfqueue.Accept},
		{"not DNS", nfqueuetest.UDP(client, resolver, []byte("hello")), nfqueue.Accept},
		{"an empty datagram", nfqueuetest.UDP(client, resolver, nil), nfqueue.Accept},
		{"another port", nfqueuetest.UDP(client, server, query("ads.example")[28:]), nfqueue.Accept},
		{"SYN", nfqueuetest.TCP(client, server, layers.TCP{SYN: true}, nil), nfqueue.Accept},
		{"not TLS", nfqueuetest.TCP(client6, server6, layers.TCP{ACK: true}, []byte("GET / HTTP/1.1\r\n")), nfqueue.Accept},
		{"ping", nfqueuetest.Echo(client.Addr(), server.Addr(), 1, 1, nil), nfqueue.Accept},
	} {
		f, said := newFirewall()
		r := nfqueuetest.Do(t, f, nfqueuetest.Spec{Hook: nfqueue.HookOutput, Payload: c.packet})
		if r.Verdict != c.want || (said.Len() > 0) != (c.want == nfqueue.Drop) {
			t.Errorf("%s: %v, log %q", c.name, r.Verdict, said)
		}
	}
}

// What happens between packets: the firewall panics for none that is cut, and while the
// queue overflows packets pass by.
func TestQueue(t *testing.T) {
	f, _ := newFirewall()
	k := nfqueuetest.NewKernel(t)
	q := k.Serve(nfqueue.Config{Flags: nfqueue.FailOpen}, f)
	blocked := nfqueuetest.DNSQuery(client, resolver, 1, "ads.example", layers.DNSTypeA)
	for n := range blocked {
		if r := k.Send(0, nfqueuetest.Spec{Hook: nfqueue.HookOutput, Payload: blocked[:n+1], FullLen: len(blocked)}).Result(); r.Passed != (n+1 < len(blocked)) {
			t.Errorf("%d of %d bytes: %+v", n+1, len(blocked), r)
		}
	}
	k.Overrun(0, 1)
	if r := k.Send(0, nfqueuetest.Spec{Payload: blocked}).Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
	if s := q.Stats(); s.Received != uint64(len(blocked)) || s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

// A capture of real connections: the Client Hello of each is dropped, and nothing else.
func TestCapture(t *testing.T) {
	file, err := os.Open("../../testdata/captures/tls.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, said := newFirewall()
	dropped := 0
	for r, err := range nfqueuetest.Replay(file, f, nfqueuetest.Spec{Hook: nfqueue.HookForward}) {
		if err != nil {
			t.Fatal(err)
		}
		if !r.Passed {
			dropped++
			if !bytes.Contains(r.Payload, []byte("www.example.org")) {
				t.Errorf("packet %d is dropped: %x", r.Number, r.Payload)
			}
		}
	}
	if dropped != 2 || strings.Count(said.String(), "blocked www.example.org\n") != 2 {
		t.Errorf("%d packets are dropped, log %q", dropped, said)
	}
}
