// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
)

// The environment of TestSoak.
const (
	soakEnv = "NFQ_CONNECTION_SOAK"      // how long each mode takes, as time.ParseDuration reads it
	seedEnv = "NFQ_CONNECTION_SOAK_SEED" // repeats the random choices of an earlier run
)

const (
	shortSoak   = 400 * time.Millisecond // unless soakEnv is set
	soakClients = 12                     // of each family
)

// soakMode is where and how connections are decided.
type soakMode struct {
	name     string
	onServer bool // on the server's host, otherwise on the router
	queues   int
	workers  int // of each queue
	maxConns int // connection.Config.MaxConns
}

var soakModes = []soakMode{
	{name: "forward", queues: 1, workers: 1},
	{name: "server", onServer: true, queues: 1, workers: 1},
	{name: "flows", queues: 1, workers: 3},
	{name: "eviction", queues: 1, workers: 1, maxConns: 10},
	{name: "group", queues: 2, workers: 1},
}

// TestSoak has clients use the same few ports again at once. Requests are allowed, blocked,
// rejected or never whole; connections end by FIN, by a reset or without a packet; the packets of
// both directions overtake each other. No server may ever hear a byte of a request that is not
// allowed, or of another connection, and most clients must get their answer.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakEnv))
	if err != nil {
		length = shortSoak
	}
	seed, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", seedEnv, seed)
	for _, mode := range soakModes {
		t.Run(mode.name, func(t *testing.T) {
			s := newSoak(t, seed)
			trackers := mode.decide(t, s.Network)
			mode.reorder(t, s.Network)
			s.run(length)
			s.report(trackers)
		})
	}
}

// judge is the handler of TestSoak. The first line of a request says what becomes of it. Now and
// then it takes long, so that the packets of an end and of the next beginning wait together.
func judge(c *connection.Conn) connection.Answer {
	if rand.IntN(8) == 0 {
		time.Sleep(time.Duration(rand.Int64N(int64(5 * time.Millisecond))))
	}
	text, _, whole := strings.Cut(string(c.Bytes(connection.Original)), "\n")
	switch {
	case !whole:
		return connection.More
	case strings.HasPrefix(text, requestWords[allowed]):
		return connection.Accept
	case strings.HasPrefix(text, requestWords[rejected]):
		return connection.Reject
	}
	return connection.Drop
}

// decide has a Tracker for each worker decide connections until the test ends.
func (m soakMode) decide(t *testing.T, n *netlab.Network) []*connection.Tracker {
	t.Helper()
	host, texts := n.Middle, []string{"forward tcp port 443"}
	if m.onServer {
		host, texts = n.Server, []string{"in tcp dport 443", "out tcp sport 443"}
	}
	for i := range texts {
		texts[i] += fmt.Sprintf(" queue 0-%d offload", m.queues-1)
	}
	labtest.Install(t, host, texts...)
	g, err := nfqueue.OpenGroup(
		// What is held at the end of the test need not wait.
		nfqueue.Config{NetNS: host.FD(), DrainTimeout: 100 * time.Millisecond}, m.queues)
	labtest.Must(t, err)
	cfg := connection.Config{
		Hold: true, Offload: rules.DefaultOffload, Timeout: 2 * time.Second, MaxConns: m.maxConns,
	}
	var trackers []*connection.Tracker
	for range m.queues * m.workers {
		trackers = append(trackers, connection.New(cfg, connection.HandlerFunc(judge)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- g.ServeFlows(ctx, m.workers, func(queue uint16, worker int) nfqueue.Handler {
			return trackers[int(queue)*m.workers+worker]
		})
	}()
	t.Cleanup(func() {
		cancel()
		labtest.Must(t, <-served)
	})
	return trackers
}

// reorder has packets of both directions overtake each other on their way to the Trackers.
func (m soakMode) reorder(t *testing.T, n *netlab.Network) {
	t.Helper()
	by := map[*netlab.Host]string{
		n.Client: "out tcp dport 443 queue 1", n.Server: "out tcp sport 443 queue 1",
	}
	if m.onServer {
		by = map[*netlab.Host]string{n.Middle: "forward tcp port 443 queue 1"}
	}
	for host, text := range by {
		labtest.Install(t, host, text)
		serve(t, host, nfqueue.Config{Queue: 1}, nfqueue.HandlerFunc(shuffle))
	}
}

// soak is a network with what its clients have asked.
type soak struct {
	*netlab.Network
	t        *testing.T
	seed     uint64
	began    time.Time
	number   atomic.Uint64 // of the last request
	requests sync.Map      // by their numbers
	all      sync.WaitGroup
	news     chan struct{} // an outcome was counted

	mu       sync.Mutex
	outcomes map[string]int // of connections, for their clients
	asked    [requestKinds]int
	answered [requestKinds]int
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	s := &soak{
		Network: labtest.Routed(t), t: t, seed: seed, news: make(chan struct{}, 1),
		outcomes: make(map[string]int),
	}
	labtest.Must(t, s.Client.SetSysctl("ipv4/tcp_tw_reuse", "1"))
	for i := range soakClients {
		labtest.Must(t, s.Client.AddAddr(netlab.Eth,
			netip.PrefixFrom(addressOf(s.Client4, i), 24), netip.PrefixFrom(addressOf(s.Client6, i), 64)))
	}
	labtest.Must(t, s.Middle.AddNeighbours(netlab.ToClient, s.Client, netlab.Eth))
	return s
}

// addressOf returns the address of a client of the soak. Each has one of its own, since the kernel
// chooses among the queues of a group by the addresses.
func addressOf(first netip.Addr, client int) netip.Addr {
	b := first.AsSlice()
	b[len(b)-1] += byte(10 + client)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// choices returns what the random choices of one of the ends are made of.
func (s *soak) choices(stream int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, uint64(stream)))
}

// run has clients and servers talk for a time, and longer until most clients are satisfied.
func (s *soak) run(length time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer s.all.Wait()
	defer cancel()
	s.began = time.Now()
	for i, family := range [][2]netip.Addr{{s.Client4, s.Server4}, {s.Client6, s.Server6}} {
		at := netip.AddrPortFrom(family[1], 443)
		l := listen(s.t, s.Network, at)
		context.AfterFunc(ctx, func() { l.Close() })
		s.all.Go(func() { s.accept(ctx, l, i) })
		for j := range soakClients {
			from := netip.AddrPortFrom(addressOf(family[0], j), 5000)
			s.all.Go(func() { s.client(ctx, from, at, s.choices(2+i*soakClients+j)) })
		}
	}
	time.Sleep(length)
	for limit := time.After(patience); !s.satisfied(); {
		select {
		case <-s.news:
		case <-limit:
			s.t.Error("most clients get no answer")
			return
		}
	}
}

// satisfied reports whether clients have got answers and resets, and at least half of those that
// waited.
func (s *soak) satisfied() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range []requestKind{allowed, rejected} {
		if s.answered[k] == 0 || s.answered[k]*2 < s.asked[k] {
			return false
		}
	}
	return true
}

// report logs what has happened.
func (s *soak) report(trackers []*connection.Tracker) {
	s.t.Logf("%d connections in %v: %v", s.number.Load(), time.Since(s.began).Round(time.Millisecond),
		s.outcomes)
	for i, tr := range trackers {
		s.t.Logf("Tracker %d: %+v", i, tr.Stats())
	}
}
