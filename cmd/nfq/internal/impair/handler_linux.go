// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair/line"
)

// Handler impairs the packets of one queue. ServePacket is for one goroutine; everything else is
// safe for concurrent use.
//
// Where packets may be altered (Settings.Alters), the queue has to copy whole packets, cut to the
// MTU (Flags NoGSO).
type Handler struct {
	line *line.Line[waiting]

	mu       sync.Mutex
	engine   *Engine
	came     time.Duration // the last packet
	counters Counters
	late     *hdrhistogram.Histogram // nanoseconds
	passing  bool
	stopped  bool
}

// waiting is a packet in the line.
type waiting struct {
	held  *nfqueue.Held
	bytes int
}

// start is the zero of clock.
var start = time.Now()

func clock() time.Duration { return time.Since(start) }

// NewHandler makes a handler with the settings s. Those with the same seed and stream decide alike,
// see Engine.
func NewHandler(seed, stream uint64, s Settings) (*Handler, error) {
	h := &Handler{engine: NewEngine(seed, stream), late: hdrhistogram.New(1, int64(time.Minute), 2)}
	if err := h.Set(s); err != nil {
		return nil, err
	}
	var err error
	h.line, err = line.New(clock, h.release)
	return h, err
}

// Set changes the settings for later packets. The error is that of Settings.Validate.
func (h *Handler) Set(s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine.Set(s)
	return nil
}

// Settings returns those in effect.
func (h *Handler) Settings() Settings {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.engine.Settings()
}

// Counters returns the counts so far.
func (h *Handler) Counters() Counters {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.counters
	c.Waiting = c.Packets - c.Passed - c.Lost - c.Full
	c.Late = Lateness{
		Median: time.Duration(h.late.ValueAtQuantile(50)),
		P99:    time.Duration(h.late.ValueAtQuantile(99)),
		Max:    time.Duration(h.late.Max()),
	}
	return c
}

// Stop lets later packets pass at once and unaltered, behind those that wait.
func (h *Handler) Stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.Pause()
}

// Pause is Stop until Resume.
func (h *Handler) Pause() {
	h.mu.Lock()
	h.passing = true
	h.mu.Unlock()
	h.line.Hurry(true)
}

// Resume ends Pause. The link is then free, as at the start.
func (h *Handler) Resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	h.passing = false
	h.engine.Free()
	h.line.Hurry(false)
}

// Close is Stop, and returns when no packet waits. ServePacket must not be called afterwards.
func (h *Handler) Close() {
	h.Stop()
	h.line.Close()
}

// ServePacket decides, alters and delays a packet.
func (h *Handler) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	length := p.FullLen()
	old := age(p) // before the clock is read, so that nothing goes on too early
	now := clock()
	waits := h.line.Len()
	d, s := h.decide(now-old, length, waits)
	if d.Fate != Pass {
		return nfqueue.Drop
	}
	corrupted, truncated := alter(p, s, d)
	if truncated {
		length = len(p.Payload())
	}
	// Packets that are due may still be in the line.
	atOnce := d.At <= now && (waits == 0 || d.Ahead || s.Order == OrderFree)
	h.count(d.Ahead, corrupted, truncated, atOnce, length)
	if atOnce {
		return nfqueue.Accept
	}
	h.line.Add(waiting{p.Defer(), length}, d.At)
	return nfqueue.Deferred
}

// decide returns the decision for a packet with a length and an arrival time, and the settings it
// was made with.
func (h *Handler) decide(came time.Duration, length, waits int) (Decision, Settings) {
	h.mu.Lock()
	defer h.mu.Unlock()
	came = max(came, h.came)
	h.came = came
	h.counters.Packets++
	h.counters.Bytes += uint64(length)
	if h.passing {
		at := came
		if waits > 0 {
			at = line.Never - 1 // behind all others
		}
		return Decision{At: at}, Settings{}
	}
	d := h.engine.Decide(came, length, waits)
	switch d.Fate {
	case Lost:
		h.counters.Lost++
	case Full:
		h.counters.Full++
	}
	return d, h.engine.Settings()
}

// alter damages and cuts a packet as decided. It reports what it changed, since a packet may have
// nothing to damage.
func alter(p *nfqueue.Packet, s Settings, d Decision) (corrupted, truncated bool) {
	if !d.Corrupt && !d.Truncate || p.Truncated() {
		return false, false
	}
	b, repair := p.Payload(), s.Checksum == ChecksumRepair
	set := p.SetPayloadRaw
	if repair {
		set = p.SetPayload
	}
	if d.Truncate {
		whole := len(b)
		b = cut(b, s.TruncateTo, repair, d.Random)
		truncated = len(b) < whole
	}
	if d.Corrupt {
		corrupted = flip(b, s.Flip, repair, d.Random)
	}
	if !corrupted && !truncated || set(b) != nil {
		return false, false
	}
	return corrupted, truncated
}

// count counts a packet that was not dropped.
func (h *Handler) count(ahead, corrupted, truncated, passed bool, length int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.counters
	for _, n := range []struct {
		counter *uint64
		yes     bool
	}{{&c.Reordered, ahead}, {&c.Corrupted, corrupted}, {&c.Truncated, truncated}} {
		if n.yes {
			*n.counter++
		}
	}
	if passed {
		c.pass(length)
	}
}

// release accepts a packet that was due at the time at.
func (h *Handler) release(w waiting, at time.Duration) {
	late := clock() - at // before Resolve, which may run the receiving program
	// An error means that the queue has ended; the queue counts the packet.
	_ = w.held.Resolve(nfqueue.Accept)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counters.pass(w.bytes)
	if late >= 0 {
		_ = h.late.RecordValue(min(int64(late), h.late.HighestTrackableValue()))
	}
}

func (c *Counters) pass(bytes int) {
	c.Passed++
	c.PassedBytes += uint64(bytes)
}
