// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// lab is a host with queue 5, which nobody works off and which holds 4 packets, and queue 6, whose
// receive buffer is small.
type lab struct {
	host   *netlab.Host
	reader *Reader
}

// queueingHost makes a host that queues packets to the ports 5 and 6 to queues of these numbers.
func queueingHost(t *testing.T) *netlab.Host {
	h := labtest.Host(t)
	labtest.Install(t, h, "out udp dport 5 queue 5", "out udp dport 6 queue 6")
	return h
}

func newLab(t *testing.T) *lab {
	h := queueingHost(t)
	for _, cfg := range []nfqueue.Config{{Queue: 5, MaxLen: 4},
		{Queue: 6, CopyMode: nfqueue.CopyMeta, ReadBuffer: 4096}} {
		cfg.NetNS = h.FD()
		q, err := nfqueue.Open(cfg)
		labtest.Must(t, err)
		t.Cleanup(func() { labtest.Must(t, q.Close()) })
	}
	return &lab{h, &Reader{NetNS: labtest.NetNS(t, h)}}
}

// send sends datagrams to a port.
func (l *lab) send(t *testing.T, address string, n int) {
	c, err := netlab.In(l.host, func() (net.Conn, error) { return net.Dial("udp4", address) })
	labtest.Must(t, err)
	for range n {
		_, err := c.Write([]byte("x"))
		labtest.Must(t, err)
	}
	labtest.Must(t, c.Close())
}

func (l *lab) read(t *testing.T) (five, six Queue) {
	s, err := l.reader.Read()
	labtest.Must(t, err)
	if len(s.Queues) != 2 || s.Queues[0].Queue != 5 || s.Queues[1].Queue != 6 {
		t.Fatalf("queues %+v, want 5 and 6", s.Queues)
	}
	return s.Queues[0], s.Queues[1]
}

func TestRead(t *testing.T) {
	l := newLab(t)
	l.send(t, "127.0.0.1:5", 10)
	five, _ := l.read(t)
	if five.Backlog != 4 || five.QueueDropped != 6 || five.SocketDropped != 0 ||
		five.CopyMode != "packet" ||
		five.CopyRange != nfqueue.MaxPayload {
		t.Errorf("after 10 packets in a queue for 4: %+v", five)
	}
	if len(five.Owners) != 1 || five.Owners[0].PID != os.Getpid() || five.Owners[0].Name == "" ||
		five.SocketUnread == 0 ||
		five.Rates != nil {
		t.Errorf("owner, unread bytes or rates: %+v", five)
	}
	first := l.reader.last.Time

	l.send(t, "127.0.0.1:5", 7)
	l.send(t, "127.0.0.1:6", 50)
	five, six := l.read(t)
	passed := l.reader.last.Time.Sub(first).Seconds()
	if five.Rates == nil || five.Rates.QueueDropped*passed < 6.99 ||
		five.Rates.QueueDropped*passed > 7.01 ||
		five.Rates.Packets != 0 {
		t.Errorf("after 7 more packets in %v s: %+v", passed, five.Rates)
	}
	if six.SocketDropped == 0 || six.SocketDropped+six.Backlog != 50 || six.Rates == nil ||
		six.Rates.SocketDropped == 0 ||
		six.Rates.Packets == 0 {
		t.Errorf("after 50 packets in a small buffer: %+v, %+v", six, six.Rates)
	}
}

// A queue that is bound again has no rates, since its counters start again.
func TestReadRebound(t *testing.T) {
	l := newLab(t)
	l.read(t)
	l.reader.last.Queues[0].PortID++
	if five, six := l.read(t); five.Rates != nil || six.Rates == nil {
		t.Errorf("rates %v and %v", five.Rates, six.Rates)
	}
}

func TestMetrics(t *testing.T) {
	l := newLab(t)
	l.send(t, "127.0.0.1:5", 10)
	l.send(t, "127.0.0.1:6", 50)
	_, six := l.read(t)

	body := l.scrape(t, http.StatusOK)
	problems, err := promlint.New(bytes.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	labtest.Must(t, err)
	for _, want := range []struct {
		metric string
		labels map[string]string
		value  float64
	}{
		{"nfqueue_backlog_packets", map[string]string{"queue": "5"}, 4},
		{"nfqueue_packets_total", map[string]string{"queue": "5"}, 4},
		{"nfqueue_decided_packets_total", map[string]string{"queue": "5"}, 0},
		{"nfqueue_dropped_packets_total", map[string]string{"queue": "5", "where": "queue"}, 6},
		{"nfqueue_dropped_packets_total", map[string]string{"queue": "5", "where": "socket"}, 0},
		{"nfqueue_dropped_packets_total", map[string]string{"queue": "6", "where": "socket"},
			float64(six.SocketDropped)},
		{"nfqueue_copy_range_bytes", map[string]string{"queue": "5"}, nfqueue.MaxPayload},
		{"nfqueue_queue_info", map[string]string{"queue": "6", "process": six.Owners[0].Name,
			"copy_mode": "meta"}, 1},
		{"nfqueue_socket_unread_bytes", map[string]string{"port_id": number(six.PortID)},
			float64(six.SocketUnread)},
	} {
		if got, ok := value(families[want.metric], want.labels); !ok || got != want.value {
			t.Errorf("%s%v: %v, %t; want %v\n%s", want.metric, want.labels, got, ok, want.value, body)
		}
	}
}

// TestDecided has one program that decides packets and one that does not, while packets keep coming
// to both: only the count of the first grows, and nothing that the kernel counts late lets it
// shrink.
func TestDecided(t *testing.T) {
	h := queueingHost(t)
	l := &lab{h, &Reader{NetNS: labtest.NetNS(t, h)}}
	hung, err := nfqueue.Open(
		nfqueue.Config{Queue: 5, NetNS: h.FD(), ReadBuffer: 4096, CopyMode: nfqueue.CopyMeta},
	)
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, hung.Close()) })
	busy, err := nfqueue.Open(nfqueue.Config{Queue: 6, NetNS: h.FD()})
	labtest.Must(t, err)
	decided := make(chan struct{})
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		served <- busy.Serve(ctx, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			decided <- struct{}{}
			return nfqueue.Accept
		}))
	}()
	m := NewMetrics(l.reader)
	for round := range uint32(3) {
		l.send(t, "127.0.0.1:5", 20) // of which the small buffer holds some
		l.send(t, "127.0.0.1:6", 2)
		<-decided
		<-decided
		l.send(t, "127.0.0.1:6", 1) // which waits while the table is read; the two before have left
		<-decided
		five, six := l.read(t)
		if five.LastID != 20*(round+1) || five.SocketDropped == 0 || five.Backlog == 0 ||
			five.Decided != 0 ||
			m.countDecided(five) != 0 {
			t.Errorf("hung, round %d: %+v", round, five)
		}
		if six.Decided < 3*round+2 || m.countDecided(six) != six.Decided {
			t.Errorf("busy, round %d: %+v", round, six)
		}
	}
	_, six := l.read(t)
	before := m.countDecided(six)
	six.Decided--
	if got := m.countDecided(six); got != before {
		t.Errorf("the count went from %d to %d", before, got)
	}
	cancel()
	labtest.Must(t, <-served)
}

// TestDocumentedMetrics: the metrics in the document, also those in its alert rules, are those that
// there are.
func TestDocumentedMetrics(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/stat.md")
	labtest.Must(t, err)
	documented := make(map[string]bool)
	for _, name := range regexp.MustCompile(`nfqueue_[a-z_]+`).FindAllString(string(text), -1) {
		documented[name] = true
	}
	described := make(chan *prometheus.Desc, 20)
	NewMetrics(new(Reader)).Describe(described)
	close(described)
	for d := range described {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		if !documented[name] {
			t.Errorf("%s is not in docs/stat.md", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/stat.md has %s, which there is not", name)
	}
}

// serve serves the metrics. Dial connects a client, which sends a request. Stop ends it all.
func (l *lab) serve(t *testing.T, bounds limits) (dial func(request string) net.Conn, stop func()) {
	listener, err := netlab.In(l.host,
		func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, NewMetrics(l.reader), bounds) }()
	dial = func(request string) net.Conn {
		c, err := netlab.In(l.host,
			func() (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) })
		labtest.Must(t, err)
		labtest.Must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, request)
		labtest.Must(t, err)
		return c
	}
	return dial, func() {
		cancel()
		labtest.Must(t, <-served)
	}
}

// TestServeBounds has clients that send no request, or no body, or that are too many: each is
// served or let go in bounded time.
func TestServeBounds(t *testing.T) {
	l := newLab(t)
	bounds := limits{
		request:     100 * time.Millisecond,
		answer:      time.Second,
		idle:        100 * time.Millisecond,
		connections: 3,
	}
	dial, stop := l.serve(t, bounds)
	var clients []net.Conn
	for i, request := range []string{
		"", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx",
		"GET /metrics HTTP/1.0\r\n\r\n",
	} {
		c := dial(request)
		clients = append(clients, c)
		if i < 4 {
			continue
		}
		answer, err := io.ReadAll(c)
		if err != nil || !bytes.Contains(answer, []byte("nfqueue_backlog_packets")) {
			t.Errorf("behind clients that do not go on: %v, %q", err, answer)
		}
	}
	for i, c := range clients {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("client %d is still connected", i)
		}
		labtest.Must(t, c.Close())
	}
	stop()
}

// TestServeOthers: clients that hold their connections keep nobody out, however long they may, and
// only as many of them are let go as is needed.
func TestServeOthers(t *testing.T) {
	l := newLab(t)
	connect, stop := l.serve(t, limits{request: time.Hour, answer: time.Hour, idle: time.Hour, connections: 3})
	var clients []net.Conn
	dial := func(request string) *bufio.ReadWriter {
		c := connect(request)
		clients = append(clients, c)
		return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
	}
	answered := func(c *bufio.ReadWriter) bool {
		response, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			return false
		}
		body, err := io.ReadAll(response.Body)
		return err == nil && bytes.Contains(body, []byte("nfqueue_backlog_packets"))
	}
	const get = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	idle := dial(get)
	if !answered(idle) {
		t.Fatal("the first client gets no answer")
	}
	for range 10 {
		dial("")
		dial("GET /metr")
		if !answered(dial(get)) {
			t.Fatal("clients that ask for nothing keep another out")
		}
	}
	if answered(idle) {
		t.Error("a client is answered twice")
	}
	// Of three, the one goes that was quiet longest.
	first, second := dial(get), dial(get)
	if !answered(first) || !answered(second) {
		t.Fatal("no answer")
	}
	for range 10 {
		_, err := first.WriteString(get)
		labtest.Must(t, errors.Join(err, first.Flush()))
		if !answered(first) {
			t.Fatal("a client that asks again and again is let go")
		}
		dial("")
	}
	for _, c := range clients {
		labtest.Must(t, c.Close())
	}
	stop()
}

// A scrape fails when the tables cannot be read, so that nobody takes that for queues that are
// gone.
func TestMetricsUnreadable(t *testing.T) {
	l := newLab(t)
	file, err := os.CreateTemp(t.TempDir(), "no-namespace")
	labtest.Must(t, err)
	l.reader.NetNS = file
	if body := l.scrape(t, http.StatusInternalServerError); !bytes.Contains(body,
		[]byte("network namespace")) {
		t.Errorf("body %q", body)
	}
	labtest.Must(t, file.Close())
}

// scrape serves metrics in the host, and gets them once.
func (l *lab) scrape(t *testing.T, status int) []byte {
	listener, err := netlab.In(l.host,
		func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, listener, NewMetrics(l.reader)) }()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return netlab.In(l.host, func() (net.Conn, error) { return net.Dial(network, address) })
		},
	}
	response, err := (&http.Client{Transport: transport}).Get(
		"http://" + listener.Addr().String() + "/metrics",
	)
	labtest.Must(t, err)
	body, err := io.ReadAll(response.Body)
	labtest.Must(t, errors.Join(err, response.Body.Close()))
	transport.CloseIdleConnections()
	cancel()
	labtest.Must(t, <-served)
	if response.StatusCode != status {
		t.Errorf("status %s, want %d: %s", response.Status, status, body)
	}
	return body
}

// value returns the value of the metric that has these labels, and maybe others.
func value(family *dto.MetricFamily, labels map[string]string) (float64, bool) {
	for _, m := range family.GetMetric() {
		match := 0
		for _, l := range m.GetLabel() {
			if want, ok := labels[l.GetName()]; ok && l.GetValue() == want {
				match++
			}
		}
		if match == len(labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}
