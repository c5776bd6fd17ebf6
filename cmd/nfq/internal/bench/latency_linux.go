// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// latencyWorkload measures what a queue adds to the way there and back.
var latencyWorkload = workload{
	name:     "latency",
	title:    "UDP from a client to a server and back, through the queue both times",
	baseline: true,
	situations: func(l *lab) []*situation {
		var all []*situation
		for _, loaded := range []bool{false, true} {
			p := &pingPong{lab: l, setup: consumer.Usual, loaded: loaded}
			p.setup.CPUs = l.consumer
			all = append(all, &situation{
				name: "idle otherwise",
				metrics: []figure.Metric{
					{Name: "p50", Unit: "µs", Less: true},
					{Name: "p90", Unit: "µs", Less: true},
					{Name: "p99", Unit: "µs", Less: true},
					{Name: "p99.9", Unit: "µs", Less: true},
					{Name: "lost", Unit: "%", Less: true},
					{Name: "load", Unit: "kpps"},
				},
				prepare: p.prepare,
				can:     func(c consumer.Consumer) bool { return c.Can(p.setup) },
				run:     p.run,
				close:   p.close,
			})
		}
		return all
	},
}

const (
	pingClientPort = 9001
	pingServerPort = 9002
	loadPort       = 9000
	pingSize       = 64
)

// pingPong sends one datagram there and back, again and again, from one thread: no other has to be
// woken but the consumer's.
type pingPong struct {
	lab    *lab
	setup  consumer.Setup
	loaded bool
	load   int // packets per second besides

	queueHost      *netlab.Host
	client, server int // sockets
	sender         *datagrams
	closers
}

func (p *pingPong) prepare(ctx context.Context, s *situation, consumers []consumer.Consumer) error {
	if p.loaded {
		kpps, err := p.halfLoad(ctx, consumers)
		if err != nil {
			return err
		}
		p.load = int(kpps * 1e3)
		s.name = fmt.Sprintf(
			"with a load of %s kpps, half of what the slowest can take",
			figure.Number(kpps),
		)
	}
	n, err := newPair(&p.closers, rules.UDP, true)
	if err != nil {
		return err
	}
	p.queueHost = n.Server
	client := netip.AddrPortFrom(n.Client4, pingClientPort)
	server := netip.AddrPortFrom(n.Server4, pingServerPort)
	if p.client, err = pingSocket(n.Client, client, server); err != nil {
		return err
	}
	p.add(func() error { return unix.Close(p.client) })
	if p.server, err = pingSocket(n.Server, server, client); err != nil {
		return err
	}
	p.add(func() error { return unix.Close(p.server) })
	sink, err := listenSink(n.Server, loadPort)
	if err != nil {
		return err
	}
	p.add(sink)
	p.sender = &datagrams{host: n.Client, to: netip.AddrPortFrom(n.Server4, loadPort)}
	p.add(p.sender.close)
	return nil
}

// halfLoad returns half the rate of the slowest consumer.
func (p *pingPong) halfLoad(
	ctx context.Context,
	consumers []consumer.Consumer,
) (kpps float64, err error) {
	d := newDrain(p.lab, 10000, pingSize, consumer.Setup{Verdict: nfqueue.Accept})
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(); err != nil {
		return 0, err
	}
	for _, c := range consumers {
		if _, none := c.(noQueue); none || !c.Can(d.setup) {
			continue
		}
		r, err := d.measure(ctx, c)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", c.Name(), err)
		}
		if kpps == 0 || r.Rate()/2 < kpps {
			kpps = r.Rate() / 2
		}
	}
	return kpps, nil
}

func (p *pingPong) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	r, err := c.Start(ctx, p.queueHost, p.setup)
	if err != nil {
		return nil, err
	}
	var times *hdrhistogram.Histogram
	var lost int
	var load float64
	err = r.Go()
	if err == nil {
		times, lost, load, err = p.underLoad()
	}
	var report consumer.Report
	if err == nil {
		report, err = stopped(r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	trips := times.TotalCount()
	if _, none := c.(noQueue); !none && int64(report.Packets) < 2*trips || trips < minTrips {
		return nil, fmt.Errorf("%d packets were decided for %d round trips", report.Packets, trips)
	}
	var figures []float64
	for _, percentile := range []float64{50, 90, 99, 99.9} {
		figures = append(figures, float64(times.ValueAtPercentile(percentile))/1e3)
	}
	return append(figures, 100*float64(lost)/float64(int(trips)+lost), load), nil
}

// underLoad measures round trips, while other packets are sent if that is asked for.
func (p *pingPong) underLoad() (times *hdrhistogram.Histogram, lost int, load float64, err error) {
	if p.load == 0 {
		times, lost, err = p.roundTrips()
		return times, lost, 0, err
	}
	var loadErr error
	var loading sync.WaitGroup
	done := make(chan struct{})
	loading.Go(func() { load, loadErr = p.sendLoad(done) })
	times, lost, err = p.roundTrips()
	close(done)
	loading.Wait()
	return times, lost, load, errors.Join(err, loadErr)
}

// roundTrips measures round trips for a while, in nanoseconds. Those that are not completed count
// as lost.
func (p *pingPong) roundTrips() (times *hdrhistogram.Histogram, lost int, err error) {
	times = hdrhistogram.New(1, int64(10*time.Second), 3)
	ping := make([]byte, pingSize-udpHeaders)
	err = consumer.OnCPUs(p.lab.traffic[:1], func() error {
		var number uint64
		for begin := time.Now(); time.Since(begin) < 2*p.lab.while() || times.TotalCount() < minTrips &&
			time.Since(begin) < runLimit/2; {
			number++
			binary.NativeEndian.PutUint64(ping, number)
			start := time.Now()
			err := p.roundTrip(ping)
			if err == unix.EAGAIN {
				lost++
				continue
			}
			if err == nil {
				err = times.RecordValue(int64(time.Since(start)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return times, lost, err
}

// minTrips is how many round trips there have to be, however long that takes.
const minTrips = 10

// roundTrip sends ping there and back. The error is EAGAIN if it got lost.
func (p *pingPong) roundTrip(ping []byte) error {
	for _, way := range [][2]int{{p.client, p.server}, {p.server, p.client}} {
		if _, err := unix.Write(way[0], ping); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		if err := receive(way[1], ping); err != nil {
			return err
		}
	}
	return nil
}

// receive waits for a datagram, and passes over those that were taken for lost.
func receive(fd int, want []byte) error {
	got := make([]byte, len(want))
	for {
		_, err := unix.Read(fd, got)
		switch {
		case err == unix.EINTR: // by the runtime: a read with a time limit is not resumed
		case err != nil || bytes.Equal(got, want):
			return err
		}
	}
}

// Load comes in bursts, as long as the time since the last one makes necessary. What a machine
// cannot send in time is not made up for.
const (
	loadInterval = 200 * time.Microsecond
	longestBurst = 5 * loadInterval
)

// sendLoad sends until done is closed, and returns the rate it has reached.
func (p *pingPong) sendLoad(done <-chan struct{}) (kpps float64, err error) {
	payload := make([]byte, pingSize-udpHeaders)
	pause := unix.NsecToTimespec(int64(loadInterval))
	sent := 0
	begin := time.Now()
	send := func() error {
		for last := begin; ; {
			select {
			case <-done:
				return nil
			default:
			}
			now := time.Now()
			burst := int(min(now.Sub(last), longestBurst).Seconds() * float64(p.load))
			for range burst {
				if err := p.sender.sendOne(payload); err != nil {
					return err
				}
			}
			sent += burst
			last = now
			// A signal may cut it short, which does no harm.
			_ = unix.Nanosleep(&pause, nil)
		}
	}
	err = p.sender.host.Do(
		func() error { return consumer.OnCPUs(p.lab.traffic[len(p.lab.traffic)-1:], send) },
	)
	return float64(sent) / time.Since(begin).Seconds() / 1e3, err
}

// lostAfter is when a packet is taken for lost.
const lostAfter = 50 * time.Millisecond

// pingSocket makes a connected UDP socket on which a read fails after lostAfter.
func pingSocket(host *netlab.Host, from, to netip.AddrPort) (int, error) {
	fd, err := netlab.In(
		host,
		func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) },
	)
	if err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(int64(lostAfter))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(from.Port()), Addr: from.Addr().As4()}),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}
