// SPDX-License-Identifier: GPL-2.0-or-later

// Package dump gives packets their verdicts at once, and shows or records them later: a slow
// terminal or disk never delays a packet.
package dump

import (
	"errors"
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
)

// Config says what becomes of packets and which are shown.
type Config struct {
	Verdict nfqueue.Verdict
	SetMark *uint32 // the mark that packets get with the verdict, nil for none
	// Decide gives the verdict instead of Verdict, if it is not nil. Packets are shown as they came
	// to it, those it defers as accepted.
	Decide nfqueue.Handler
	// Match chooses the packets that are shown. Nil is all.
	Match func(*nfqueue.Packet) bool
	// Processes, if it is not nil, finds the processes behind the packets that are shown, before
	// their verdict.
	Processes *Processes
	// Count is the number of packets that are shown, 0 for any number.
	Count uint64
}

// Output is where packets are shown or recorded. It is used by one goroutine.
type Output interface {
	// Write shows or records a packet.
	Write(*packetview.Record) error
	// Flush comes when no more packets wait to be written.
	Flush() error
}

// Bounds of the packets that have not been written.
const (
	maxWaiting      = 16384
	maxWaitingBytes = 64 << 20
)

// patience is how long Close waits for an output that makes no progress.
const patience = 2 * time.Second

// ErrStalled means that an output did not take what waited at the end.
var ErrStalled = errors.New(
	"the reader of the output does not read; the last packets are not in it",
)

// Dump is the handler of one or more queues.
type Dump struct {
	cfg     Config
	outputs []Output

	mu      sync.Mutex
	changed sync.Cond // something waits, or all has come
	waiting []*packetview.Record
	kept    int // packets that have not been written, with those that the writer has
	bytes   int // of kept
	closed  bool
	counts  Counts
	missed  uint64 // since the last that was kept

	done    chan struct{} // closed when Count is reached or an output has failed
	over    bool          // done is closed
	written chan struct{} // closed when the writer has ended
	err     error         // of an output
}

// Counts tells what became of the packets.
type Counts struct {
	Seen      uint64 // by the handler
	Unmatched uint64 // not of interest
	Shown     uint64 // handed to the outputs
	Missed    uint64 // of interest, but too fast to be kept
}

// New makes a handler that shows packets on outputs. Close ends it.
func New(cfg Config, outputs ...Output) *Dump {
	d := &Dump{cfg: cfg, outputs: outputs, done: make(chan struct{}), written: make(chan struct{})}
	d.changed.L = &d.mu
	go d.write()
	return d
}

// Done is closed when Config.Count packets are kept or an output has failed. Packets that come
// later get their verdict and are not shown.
func (d *Dump) Done() <-chan struct{} { return d.done }

// Counts returns what became of the packets so far.
func (d *Dump) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// ServePacket is nfqueue.Handler's. It may be called by several queues at once.
func (d *Dump) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	var r *packetview.Record
	if d.wants(p) {
		r = packetview.Of(p)
		if d.cfg.Processes != nil {
			r.Processes = d.cfg.Processes.Of(p)
		}
	}
	if d.cfg.SetMark != nil {
		p.SetMark(*d.cfg.SetMark)
	}
	v := d.cfg.Verdict
	if d.cfg.Decide != nil {
		v = d.cfg.Decide.ServePacket(p)
	}
	if r != nil {
		r.Verdict, r.SetMark = v, d.cfg.SetMark
		if v == nfqueue.Deferred {
			r.Verdict = nfqueue.Accept
		}
		d.keep(r)
	}
	return v
}

// wants counts a packet and reports whether it is to be kept.
func (d *Dump) wants(p *nfqueue.Packet) bool {
	matches := d.cfg.Match == nil || d.cfg.Match(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Seen++
	switch {
	case d.over:
		return false
	case !matches:
		d.counts.Unmatched++
		return false
	case d.kept >= maxWaiting || d.bytes+len(p.Payload()) > maxWaitingBytes:
		d.counts.Missed++
		d.missed++
		return false
	}
	return true
}

// keep hands a packet to the writer.
func (d *Dump) keep(r *packetview.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	r.Missed, d.missed = d.missed, 0
	d.waiting = append(d.waiting, r)
	d.kept++
	d.bytes += len(r.Data)
	d.counts.Shown++
	if d.counts.Shown == d.cfg.Count {
		d.finish()
	}
	d.changed.Signal()
}

// finish says that no more packets are kept. The caller has the lock.
func (d *Dump) finish() {
	if !d.over {
		d.over = true
		close(d.done)
	}
}

// Close writes what waits. It has to be called when no more packets come, and returns the error of
// an output. If an output makes no progress for two seconds, as a pipe that nobody reads, Close
// gives up with an error that matches ErrStalled; the outputs must not be used any more then.
func (d *Dump) Close() error {
	d.mu.Lock()
	d.closed = true
	d.changed.Signal()
	last := d.kept
	d.mu.Unlock()
	look := time.NewTicker(patience)
	defer look.Stop()
	for {
		select {
		case <-d.written:
			return d.err
		case <-look.C:
		}
		d.mu.Lock()
		now := d.kept
		d.mu.Unlock()
		if now == last {
			return ErrStalled
		}
		last = now
	}
}

// write is the goroutine that uses the outputs.
func (d *Dump) write() {
	defer close(d.written)
	for {
		batch := d.take()
		if batch == nil {
			return
		}
		if d.err == nil {
			d.err = d.writeAll(batch)
		}
		d.mu.Lock()
		if d.err != nil {
			d.finish()
			d.kept, d.bytes, d.waiting = 0, 0, nil
		}
		d.mu.Unlock()
	}
}

// take waits for packets and returns all there are, nil at the end.
func (d *Dump) take() []*packetview.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiting) == 0 && !d.closed {
		d.changed.Wait()
	}
	batch := d.waiting
	d.waiting = nil
	return batch
}

func (d *Dump) writeAll(batch []*packetview.Record) error {
	for i, r := range batch {
		for _, o := range d.outputs {
			if err := o.Write(r); err != nil {
				return err
			}
		}
		batch[i] = nil
		d.mu.Lock()
		d.kept--
		d.bytes -= len(r.Data)
		d.mu.Unlock()
	}
	for _, o := range d.outputs {
		if err := o.Flush(); err != nil {
			return err
		}
	}
	return nil
}
