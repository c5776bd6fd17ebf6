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
)

var (
	client   = netip.MustParseAddrPort("192.0.2.1:40000")
	client6  = netip.MustParseAddrPort("[2001:db8::1]:40000")
	resolver = netip.MustParseAddrPort("198.51.100.53:53")
	server   = netip.MustParseAddrPort("198.51.100.80:443")
	server6  = netip.MustParseAddrPort("[2001:db8:1::80]:443")
)

func testFirewall() (f *firewall, said *bytes.Buffer) {
	said = new(bytes.Buffer)
	return newFirewall([]string{"ads.example", "example.org"}, log.New(said, "", 0), nil), said
}

// One packet after the other: what is blocked, and what is not.
func TestVerdicts(t *testing.T) {
	query := func(name string) []byte {
		return nfqueuetest.DNSQuery(client, resolver, 1, name, nfqueuetest.DNSTypeA)
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
		{"SYN", nfqueuetest.TCP(client, server, nfqueuetest.TCPHeader{Flags: nfqueuetest.SYN}, nil),
			nfqueue.Accept},
		{"not TLS", nfqueuetest.TCP(client6, server6, nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK},
			[]byte("GET / HTTP/1.1\r\n")), nfqueue.Accept},
		{"ping", nfqueuetest.Echo(client.Addr(), server.Addr(), 1, 1, nil), nfqueue.Accept},
	} {
		f, said := testFirewall()
		r := nfqueuetest.Do(t, nfqueue.Config{}, f, nfqueuetest.Spec{Hook: nfqueue.HookOutput,
			Payload: c.packet})
		if r.Verdict != c.want || (said.Len() > 0) != (c.want == nfqueue.Drop) {
			t.Errorf("%s: %v, log %q", c.name, r.Verdict, said)
		}
	}
}

// A question over TCP has its length before it, and others may be before it.
func TestStream(t *testing.T) {
	f, said := testFirewall()
	k := nfqueuetest.NewKernel(t)
	k.Serve(nfqueue.Config{}, f)
	to := netip.AddrPortFrom(server.Addr(), 53)
	seq := uint32(1)
	send := func(text []byte) bool {
		p := nfqueuetest.TCP(client, to, nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: seq}, text)
		seq += uint32(len(text))
		return k.Send(0, nfqueuetest.Spec{Payload: p}).Result().Passed
	}
	question := func(name string) []byte {
		m := nfqueuetest.DNSQuery(client, resolver, 1, name, nfqueuetest.DNSTypeA)[28:]
		return append([]byte{0, byte(len(m))}, m...)
	}
	bad := question("ads.example")
	if !send(question("www.example")) || !send(bad[:9]) || send(bad[9:]) ||
		send(question("www.example")) {
		t.Errorf("log %q", said)
	}
}

// What happens between packets: the firewall panics for none that is cut, and while the
// queue overflows packets pass by.
func TestQueue(t *testing.T) {
	f, _ := testFirewall()
	k := nfqueuetest.NewKernel(t)
	q := k.Serve(nfqueue.Config{Flags: nfqueue.FailOpen}, f)
	blocked := nfqueuetest.DNSQuery(client, resolver, 1, "ads.example", nfqueuetest.DNSTypeA)
	for n := range blocked {
		if r := k.Send(0, nfqueuetest.Spec{Hook: nfqueue.HookOutput, Payload: blocked[:n+1],
			FullLen: len(blocked)}).Result(); r.Passed != (n+1 < len(blocked)) {
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

// A capture of real connections: of each the end of the Client Hello is dropped, which is in
// one segment or two, and all that follows.
func TestCapture(t *testing.T) {
	file, err := os.Open("../../testdata/captures/tls.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, said := testFirewall()
	blocked := make(map[byte]int) // dropped packets, by version of IP
	passed := make(map[byte]int)
	for r, err := range nfqueuetest.Replay(file, nfqueue.Config{}, f,
		nfqueuetest.Spec{Hook: nfqueue.HookForward}) {
		if err != nil {
			t.Fatal(err)
		}
		version := r.Payload[0] >> 4
		switch {
		case !r.Passed:
			blocked[version]++
		case blocked[version] > 0:
			t.Errorf("packet %d passes", r.Number)
		default:
			passed[version]++
		}
	}
	if passed[4] != 3 || passed[6] != 4 || blocked[4] == 0 || blocked[6] == 0 ||
		strings.Count(said.String(), "blocked www.example.org\n") != 2 {
		t.Errorf("%v passed, %v dropped, log %q", passed, blocked, said)
	}
}
