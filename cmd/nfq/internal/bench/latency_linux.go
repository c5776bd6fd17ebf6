// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// latencyWorkload measures what a queue adds to the way there and back, what else goes on beside,
// and what an idle queue costs.
var latencyWorkload = workload{
	name:     "latency",
	title:    "UDP there and back, through the queue both times, and a queue without packets",
	baseline: true,
	situations: func(l *lab) []*situation {
		kept, free := consumer.Usual, consumer.Usual
		kept.CPUs = l.consumer
		two := free
		two.Queues = 2
		alone := (&latency{lab: l, setup: kept}).situation("idle otherwise")
		alone.can = func(c consumer.Consumer) bool { return c.Can(kept) }
		all := []*situation{
			alone,
			(&latency{lab: l, setup: free}).situation("idle otherwise, nothing kept to a processor"),
		}
		limit := &slowest{lab: l}
		for _, percent := range []int{10, 50} {
			all = append(all, (&latency{lab: l, setup: kept, limit: limit, percent: percent}).situation(
				fmt.Sprintf("with %d %% of the load that the slowest can take", percent),
			))
		}
		return append(
			all,
			(&latency{lab: l, setup: kept, busy: true}).situation(
				"beside a busy thread on the consumer's processor",
			),
			(&latency{lab: l, setup: two}).situation("2 queues, nothing kept to a processor"),
			newIdle(l),
		)
	},
}

// latency measures round trips.
type latency struct {
	lab     *lab
	setup   consumer.Setup
	limit   *slowest
	percent int  // of limit, sent through the first queue meanwhile
	busy    bool // a thread competes with the consumer
	pause   time.Duration

	queueHost *netlab.Host
	pairs     []*pingPong // one for each queue
	sender    *datagrams
	load      int // packets per second
	closers
}

// situation leaves out consumers that do the same as others with a packet that comes alone.
func (p *latency) situation(name string) *situation {
	return &situation{
		name: name,
		metrics: []figure.Metric{
			{Name: "p50", Unit: "µs", Less: true},
			{Name: "p90", Unit: "µs", Less: true},
			{Name: "p99", Unit: "µs", Less: true},
			{Name: "p99.9", Unit: "µs", Less: true},
			{Name: "lost", Unit: "%", Less: true},
			{Name: "load", Unit: "kpps"},
			{Name: "processor time", Unit: "ms/s", Less: true},
		},
		variants: withPolling,
		prepare:  p.prepare,
		can:      func(c consumer.Consumer) bool { return differs(c) && c.Can(p.setup) },
		run:      p.run,
		close:    p.close,
	}
}

func differs(c consumer.Consumer) bool {
	_, other := c.(variant)
	return other || slices.Contains(
		[]string{
			consumer.NoQueueName,
			consumer.OurName,
			consumer.LibraryName,
			consumer.FloorName,
		},
		c.Name(),
	)
}

// loadPort is where the load goes that is sent meanwhile.
const loadPort = 9000

func (p *latency) prepare(ctx context.Context, s *situation, consumers []consumer.Consumer) error {
	if p.limit != nil {
		kpps, err := p.limit.rate(ctx, consumers)
		if err != nil {
			return err
		}
		p.load = int(kpps * 1e3 * float64(p.percent) / 100)
		s.name = fmt.Sprintf("%s, %s kpps", s.name, figure.Number(float64(p.load)/1e3))
	}
	queued := append(
		pingRules(max(p.setup.Queues, 1)),
		rules.Rule{
			Hook:     nfqueue.HookInput,
			Protocol: rules.UDP,
			DstPort:  rules.Ports{{First: loadPort}},
		},
	)
	n, err := newPair(&p.closers, queued...)
	if err != nil {
		return err
	}
	p.queueHost = n.Server
	for i := range max(p.setup.Queues, 1) {
		pair, err := newPingPong(&p.closers, n, i)
		if err != nil {
			return err
		}
		pair.pause = p.pause
		if len(p.setup.CPUs) > 0 {
			pair.cpus = p.lab.traffic[:1]
		}
		p.pairs = append(p.pairs, pair)
	}
	sink, err := listenSink(n.Server, loadPort)
	if err != nil {
		return err
	}
	p.add(sink)
	p.sender = &datagrams{host: n.Client, to: netip.AddrPortFrom(n.Server4, loadPort)}
	p.add(p.sender.close)
	return nil
}

// slowest finds how fast the slowest consumer is.
type slowest struct {
	lab  *lab
	kpps float64
}

// rate measures once.
func (l *slowest) rate(
	ctx context.Context,
	consumers []consumer.Consumer,
) (kpps float64, err error) {
	if l.kpps > 0 {
		return l.kpps, nil
	}
	d := newDrain(l.lab, 10000, pingSize, consumer.Setup{Verdict: nfqueue.Accept})
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
		if l.kpps == 0 || r.Rate() < l.kpps {
			l.kpps = r.Rate()
		}
	}
	return l.kpps, nil
}

// minTrips is how many round trips there have to be, however long that takes.
const minTrips = 10

func (p *latency) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	var times *hdrhistogram.Histogram
	var lost int
	var load float64
	report, err := p.during(ctx, c, func(consumer.Running) (err error) {
		times, lost, load, err = p.meanwhile()
		return err
	})
	if err != nil {
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
	return append(
		figures, 100*float64(lost)/float64(int(trips)+lost), load, busyShare(report)*1e3,
	), nil
}

// during runs a consumer while f runs.
func (p *latency) during(
	ctx context.Context,
	c consumer.Consumer,
	f func(consumer.Running) error,
) (report consumer.Report, err error) {
	r, err := c.Start(ctx, p.queueHost, p.setup)
	if err != nil {
		return report, err
	}
	if err = r.Go(); err == nil {
		err = f(r)
	}
	if err == nil {
		report, err = stopped(r)
	}
	return report, errors.Join(err, r.Close())
}

// busyShare is how much of a processor a consumer has used.
func busyShare(r consumer.Report) float64 {
	if r.Elapsed == 0 { // nobody
		return 0
	}
	return float64(r.User+r.System) / float64(r.Elapsed)
}

// meanwhile measures round trips while all goes on that is to go on beside.
func (p *latency) meanwhile() (
	times *hdrhistogram.Histogram,
	lost int,
	load float64,
	err error,
) {
	var beside, pings sync.WaitGroup
	done := make(chan struct{})
	var loadErr, busyErr error
	if p.load > 0 {
		beside.Go(func() { load, loadErr = p.sendLoad(done) })
	}
	if p.busy {
		beside.Go(func() { busyErr = consumer.OnCPUs(p.setup.CPUs, func() error { return spin(done) }) })
	}
	all := make([]*hdrhistogram.Histogram, len(p.pairs))
	losses := make([]int, len(p.pairs))
	errs := make([]error, len(p.pairs))
	begin := time.Now()
	more := func(completed int64) bool {
		took := time.Since(begin)
		return took < p.lab.while()/2 || completed < minTrips && took < runLimit/2
	}
	for i, pair := range p.pairs {
		pings.Go(func() { all[i], losses[i], errs[i] = pair.roundTrips(more) })
	}
	pings.Wait()
	close(done)
	beside.Wait()
	for i := range all[1:] {
		all[0].Merge(all[1+i])
	}
	for _, n := range losses {
		lost += n
	}
	return all[0], lost, load, errors.Join(append(errs, loadErr, busyErr)...)
}

// spin keeps its processor busy until done is closed.
func spin(done <-chan struct{}) error {
	for spinning := true; spinning; {
		select {
		case <-done:
			spinning = false
		default:
		}
	}
	return nil
}

// Load comes in bursts, as long as the time since the last one makes necessary. What a machine
// cannot send in time is not made up for.
const (
	loadInterval = 200 * time.Microsecond
	longestBurst = 5 * loadInterval
)

// sendLoad sends until done is closed, and returns the rate it has reached.
func (p *latency) sendLoad(done <-chan struct{}) (kpps float64, err error) {
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

// idle measures a queue whose packets have stopped coming.
type idle struct{ latency }

const (
	idleTrips = 1000 // before
	// lull is longer than any polling. The kernel counts the time of a thread when it stops to
	// run, and at each tick.
	lull = 20 * time.Millisecond
)

func newIdle(l *lab) *situation {
	i := &idle{latency{lab: l, setup: consumer.Usual}}
	i.setup.CPUs = l.consumer
	s := i.situation("after the last packet")
	s.metrics = []figure.Metric{{Name: "processor time", Unit: "µs/s", Less: true}}
	s.run = i.run
	can := s.can
	s.can = func(c consumer.Consumer) bool { _, none := c.(noQueue); return !none && can(c) }
	return s
}

// run has packets come as they do in a conversation, and measures what is used after them.
func (i *idle) run(ctx context.Context, c consumer.Consumer) ([]float64, error) {
	var used time.Duration
	report, err := i.during(ctx, c, func(r consumer.Running) error {
		trips := int64(i.lab.few(idleTrips))
		_, _, err := i.pairs[0].roundTrips(func(done int64) bool { return done < trips })
		if err != nil {
			return err
		}
		time.Sleep(lull)
		first, err := r.Usage()
		if err != nil {
			return err
		}
		time.Sleep(i.lab.while() / 2)
		last, err := r.Usage()
		used = last.CPU - first.CPU
		return err
	})
	if err == nil && report.Packets == 0 {
		err = errors.New("no packets were decided")
	}
	return []float64{float64(used.Microseconds()) / (i.lab.while() / 2).Seconds()}, err
}
