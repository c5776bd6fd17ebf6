// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/prometheus/client_golang/prometheus"
)

// TestConnectionsComplete: every number of connection.Stats is exported once, also one that is new.
func TestConnectionsComplete(t *testing.T) {
	var s connection.Stats
	var values []uint64
	fill(reflect.ValueOf(&s).Elem(), &values)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(newConnections(func() connection.Stats { return s }))
	text := scrape(t, r)
	for _, v := range values {
		if n := len(regexp.MustCompile(fmt.Sprintf(`(?m) %d$`, v)).FindAllString(text, -1)); n != 1 {
			t.Errorf("%d is exported %d times", v, n)
		}
	}
	lines := []string{
		fmt.Sprintf("nfqueue_connections %d", s.Conns),
		fmt.Sprintf("nfqueue_connections_undecided %d", s.Undecided),
		fmt.Sprintf("nfqueue_connections_opened_total %d", s.Opened),
		fmt.Sprintf("nfqueue_connections_forgotten_total %d", s.Forgotten),
		fmt.Sprintf("nfqueue_connection_held_packets %d", s.Held),
		fmt.Sprintf("nfqueue_connection_memory_bytes %d", s.Memory),
		fmt.Sprintf("nfqueue_connection_stripped_segments_total %d", s.Stripped),
		fmt.Sprintf("nfqueue_connection_other_packets_total %d", s.Other),
	}
	causes := reflect.ValueOf(s.Fallback)
	for i := range causes.NumField() { // labels are the names of the fields
		name := strings.ToLower(causes.Type().Field(i).Name)
		if name == "conns" {
			name = "connections"
		}
		lines = append(lines, fmt.Sprintf("nfqueue_connection_fallbacks_total{cause=%q} %d",
			name, causes.Field(i).Uint()))
	}
	for answer, n := range map[connection.Answer]uint64{connection.Accept: s.Accepted,
		connection.Drop: s.Dropped, connection.Reject: s.Rejected} {
		lines = append(lines,
			fmt.Sprintf("nfqueue_connection_answers_total{answer=%q} %d", answer, n))
	}
	for cause, n := range map[string]uint64{"conflict": s.Conflicts, "repeated": s.Repeated,
		"ignored": s.Ignored, "unanswered": s.Unanswered} {
		lines = append(lines,
			fmt.Sprintf("nfqueue_connection_dropped_segments_total{cause=%q} %d", cause, n))
	}
	wantLines(t, text, lines...)
}

// TestConnections: the Trackers of two queues add up, while they serve, beside the queues.
func TestConnections(t *testing.T) {
	answer := connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
		text, _, whole := strings.Cut(string(c.Bytes(connection.Original)), "\n")
		switch {
		case !whole:
			return connection.More
		case text == "good":
			return connection.Accept
		case text == "reject":
			return connection.Reject
		}
		return connection.Drop
	})
	cfg := connection.Config{Hold: true, MaxBytes: 16}
	trackers := []*connection.Tracker{connection.New(cfg, answer), connection.New(cfg, answer)}
	k := nfqueuetest.NewKernel(t)
	one := k.Serve(nfqueue.Config{Queue: 1}, trackers[0])
	two := k.Serve(nfqueue.Config{Queue: 2}, trackers[1])
	r := prometheus.NewPedanticRegistry()
	c := NewConnectionCollector(trackers...)
	r.MustRegister(NewCollector(one, two), c)
	if err := r.Register(NewConnectionCollector()); err == nil {
		t.Error("the same metrics are registered twice")
	}
	trackers[0] = nil // the collector has a copy

	var scrapes sync.WaitGroup
	scrapes.Go(func() {
		for range 20 {
			if _, err := r.Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	client := netip.MustParseAddrPort("192.0.2.1:4000")
	server := netip.MustParseAddrPort("198.51.100.1:443")
	udp := func(queue uint16, port int, text string) *nfqueuetest.Flight {
		from := netip.AddrPortFrom(client.Addr(), uint16(port))
		return k.Send(queue, nfqueuetest.Spec{Payload: nfqueuetest.UDP(from, server, []byte(text))})
	}
	tcp := func(src, dst netip.AddrPort, flags nfqueuetest.TCPFlags, seq, ack uint32, text string,
	) *nfqueuetest.Flight {
		h := nfqueuetest.TCPHeader{Flags: flags, Seq: seq, Ack: ack}
		return k.Send(2, nfqueuetest.Spec{Payload: nfqueuetest.TCP(src, dst, h, []byte(text))})
	}
	const syn, ack = nfqueuetest.SYN, nfqueuetest.ACK
	for i, text := range []string{"good\n", "good\n", "bad\n", "reject\n"} {
		udp(1, 5000+i, text).Result()
	}
	udp(2, 6000, "good\n").Result()
	udp(2, 6001, "more than 16 bytes").Result()
	short := nfqueuetest.UDP(client, server, nil)[:22] // ends inside its header
	k.Send(1, nfqueuetest.Spec{Payload: short}).Result()

	tcp(client, server, syn, 0, 0, "data").Result() // without the data
	tcp(client, server, ack, 1, 0, "data").Result() // not answered
	tcp(server, client, syn|ack, 0, 1, "").Result()
	held := tcp(client, server, ack, 1, 1, "goo")
	tcp(client, server, ack, 1, 1, "goo").Result() // repeated
	wantLines(t, scrape(t, r),
		"nfqueue_connections 7",
		"nfqueue_connections_undecided 1",
		"nfqueue_connections_opened_total 7",
		"nfqueue_connections_forgotten_total 0",
		"nfqueue_connection_held_packets 1",
		fmt.Sprintf("nfqueue_connection_memory_bytes %d", trackers[1].Stats().Memory),
		"nfqueue_connection_stripped_segments_total 1",
		"nfqueue_connection_other_packets_total 1",
		`nfqueue_connection_answers_total{answer="accept"} 3`,
		`nfqueue_connection_answers_total{answer="drop"} 1`,
		`nfqueue_connection_answers_total{answer="reject"} 1`,
		`nfqueue_connection_fallbacks_total{cause="bytes"} 1`,
		`nfqueue_connection_dropped_segments_total{cause="conflict"} 0`,
		`nfqueue_connection_dropped_segments_total{cause="repeated"} 1`,
		`nfqueue_connection_dropped_segments_total{cause="ignored"} 0`,
		`nfqueue_connection_dropped_segments_total{cause="unanswered"} 1`,
		`nfqueue_held_packets{queue="2"} 1`)
	tcp(client, server, ack, 4, 1, "d\n").Result()
	if !held.Result().Passed {
		t.Error("dropped")
	}
	tcp(client, server, ack, 1, 1, "bad").Result() // conflict
	scrapes.Wait()
	wantLines(t, scrape(t, r),
		"nfqueue_connections_undecided 0",
		"nfqueue_connection_held_packets 0",
		`nfqueue_connection_answers_total{answer="accept"} 4`,
		`nfqueue_connection_dropped_segments_total{cause="conflict"} 1`)
}
