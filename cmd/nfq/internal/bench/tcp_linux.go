// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// tcpWorkload measures bulk transfers. Nothing is kept to a processor.
var tcpWorkload = workload{
	name:     "tcp",
	title:    "TCP from a client to a server, data and acknowledgements through the queue",
	baseline: true,
	situations: func(l *lab) []*situation {
		var all []*situation
		for _, streams := range []int{1, 8} {
			for _, noGSO := range []bool{false, true} {
				t := &transfer{
					setup: consumer.Usual, streams: streams, lasts: l.while() / 2,
				}
				t.setup.NoGSO = noGSO
				name := "1 stream"
				if streams > 1 {
					name = fmt.Sprintf("%d streams", streams)
				}
				if noGSO {
					name += ", cut to the MTU before the queue"
				}
				var variants func(consumer.Consumer) []consumer.Consumer
				if !noGSO {
					variants = withPolling
				}
				all = append(all, &situation{
					name:     name,
					variants: variants,
					metrics: []figure.Metric{
						{Name: "throughput", Unit: "Gbit/s"},
						{Name: "decided", Unit: "kpps"},
						{Name: "processor time", Unit: "ns/kB", Less: true},
					},
					prepare: func(context.Context, *situation, []consumer.Consumer) error { return t.prepare() },
					can:     func(c consumer.Consumer) bool { return c.Can(t.setup) },
					run:     t.run,
					close:   t.close,
				})
			}
		}
		return all
	},
}

const (
	tcpPort  = 9000
	tcpChunk = 256 << 10 // bytes in a write or read
)

type transfer struct {
	setup   consumer.Setup
	streams int
	lasts   time.Duration

	net    *netlab.Network
	listen net.Listener
	closers
}

func (t *transfer) prepare() (err error) {
	if t.net, err = newPair(&t.closers, bothWays(rules.TCP)...); err != nil {
		return err
	}
	return t.startServer()
}

func (t *transfer) startServer() (err error) {
	// The kernel would begin each run with what it learnt in those before, of other consumers.
	for _, h := range []*netlab.Host{t.net.Client, t.net.Server} {
		err := h.SetSysctl("ipv4/tcp_no_metrics_save", "1")
		if err != nil && !errors.Is(err, unix.EROFS) { // as in most containers
			return err
		}
	}
	t.listen, err = netlab.In(t.net.Server, func() (net.Listener, error) {
		return net.Listen("tcp4", netip.AddrPortFrom(t.net.Server4, tcpPort).String())
	})
	if err != nil {
		return err
	}
	t.add(t.listen.Close)
	return nil
}

func (t *transfer) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	r, err := c.Start(ctx, t.net.Server, t.setup)
	if err != nil {
		return nil, err
	}
	var bytes int64
	var took time.Duration
	err = r.Go()
	if err == nil {
		bytes, took, err = t.transfer(ctx)
	}
	var report consumer.Report
	if err == nil {
		report, err = stopped(r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if _, none := c.(noQueue); !none && report.Packets == 0 {
		return nil, errors.New("no packets were decided")
	}
	return []float64{
		float64(bytes) * 8 / float64(took),
		float64(report.Packets) / took.Seconds() / 1e3,
		float64(report.User+report.System) / (float64(bytes) / 1e3),
	}, nil
}

// transfer sends for a while on all streams, and returns how many bytes have arrived and how long
// that took.
func (t *transfer) transfer(ctx context.Context) (total int64, took time.Duration, err error) {
	streams := make([]*stream, t.streams)
	for i := range streams {
		if streams[i], err = t.connect(ctx); err != nil {
			return 0, 0, err
		}
		defer streams[i].close()
	}
	// Whatever the reason for the end is, nobody must wait any longer.
	defer context.AfterFunc(ctx, func() {
		for _, s := range streams {
			s.close()
		}
	})()
	var all sync.WaitGroup
	start := time.Now()
	for _, s := range streams {
		all.Go(func() { s.send(start.Add(t.lasts)) })
		all.Go(s.receive)
	}
	all.Wait()
	took = time.Since(start)
	for _, s := range streams {
		total += s.received
		if s.sent != s.received {
			err = errors.Join(err, fmt.Errorf("%d bytes were sent and %d have arrived", s.sent, s.received))
		}
		err = errors.Join(err, s.sendErr, s.receiveErr)
	}
	return total, took, err
}

// stream is a connection with both its ends.
type stream struct {
	out, in             *net.TCPConn
	sent, received      int64
	sendErr, receiveErr error
}

func (t *transfer) connect(ctx context.Context) (*stream, error) {
	out, err := netlab.In(t.net.Client, func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp4", t.listen.Addr().String())
	})
	if err != nil {
		return nil, err
	}
	in, err := t.listen.Accept()
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return &stream{out: out.(*net.TCPConn), in: in.(*net.TCPConn)}, nil
}

func (s *stream) send(until time.Time) {
	chunk := make([]byte, tcpChunk)
	for more := true; more && s.sendErr == nil; more = time.Now().Before(until) {
		var n int
		n, s.sendErr = s.out.Write(chunk)
		s.sent += int64(n)
	}
	s.sendErr = errors.Join(s.sendErr, s.out.CloseWrite())
}

func (s *stream) receive() {
	chunk := make([]byte, tcpChunk)
	for s.receiveErr == nil {
		var n int
		n, s.receiveErr = s.in.Read(chunk)
		s.received += int64(n)
	}
	if s.receiveErr == io.EOF {
		s.receiveErr = nil
	} else {
		_ = s.in.Close() // the sender need not wait
	}
}

// close closes both ends, which may be closed already.
func (s *stream) close() { _, _ = s.out.Close(), s.in.Close() }
