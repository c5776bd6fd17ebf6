// SPDX-License-Identifier: GPL-2.0-or-later

package sender

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// clocked is a kernel that notes when it was sent something. fail is called before.
type clocked struct {
	transport.Conn
	sent []time.Duration
	fail func() error
}

func (*clocked) MaxSend() int { return 1 << 16 }

func (c *clocked) Send([][]byte) error {
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return err
		}
	}
	c.sent = append(c.sent, Now())
	return nil
}

func newSender(c *clocked, flushAfter time.Duration, log slog.Handler) *Sender {
	return New(Config{Conn: c, FlushAfter: flushAfter, Log: &Log{To: slog.New(log)}})
}

// decided is the verdict of a handler that was called and returned now.
func decided(id uint32) Verdict {
	t := Now()
	return Verdict{Decision: nfqmsg.Decision{ID: id, Word: nfAccept, Batch: true}, Called: t,
		Returned: t}
}

// TestOverdue: while a handler blocks, a verdict leaves when FlushAfter is over, whatever the
// queue did before. Only with a FlushAfter below a millisecond it may wait longer.
func TestOverdue(t *testing.T) {
	for _, c := range []struct{ flushAfter, late time.Duration }{
		{100 * time.Microsecond, maxInterval},
		{time.Millisecond, 0},
		{1700 * time.Microsecond, 0},
		{5 * time.Millisecond, 0},
		{20 * time.Millisecond, 0},
		{300 * time.Millisecond, 0},
	} {
		for _, busy := range []time.Duration{0, time.Millisecond, 9 * time.Millisecond, time.Second} {
			t.Run(c.flushAfter.String()+", busy for "+busy.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn := &clocked{}
					s := newSender(conn, c.flushAfter, slog.DiscardHandler)
					defer s.Close()
					id := uint32(0)
					for end := Now() + busy; Now() < end; time.Sleep(70 * time.Microsecond) {
						id++
						s.Add(decided(id))
						if err := s.Flush(); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					conn.sent = nil
					began := Now()
					s.Add(decided(id + 1))
					time.Sleep(c.flushAfter + time.Second) // the handler of the next packet
					synctest.Wait()
					if len(conn.sent) != 1 {
						t.Fatalf("sent %d times", len(conn.sent))
					}
					if late := conn.sent[0] - began - c.flushAfter; late < 0 || late > c.late {
						t.Errorf("it left %v after FlushAfter, want at most %v", late, c.late)
					}
				})
			})
		}
	}
}

// logs calls a function for each line.
type logs func()

func (logs) Enabled(context.Context, slog.Level) bool    { return true }
func (l logs) Handle(context.Context, slog.Record) error { l(); return nil }
func (l logs) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l logs) WithGroup(string) slog.Handler             { return l }

// TestLogWhileIdle: a logger can use the sender that it hears of.
func TestLogWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 1
		conn := &clocked{fail: func() error {
			if failures--; failures >= 0 {
				return kernel.Error(kernel.ENOBUFS)
			}
			return nil
		}}
		var s *Sender
		lines := 0
		s = newSender(conn, time.Second, logs(func() {
			lines++
			s.Add(decided(2))
			if err := errors.Join(s.Flush(), s.Exclusive(func() error { return nil })); err != nil {
				t.Error(err)
			}
			s.Kick()
		}))
		defer s.Close()
		s.Add(decided(1))
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
		if lines != 1 || len(conn.sent) != 2 {
			t.Errorf("%d lines, %d datagrams", lines, len(conn.sent))
		}
	})
}

// TestForbidBatch: no verdict becomes part of a batch afterwards.
func TestForbidBatch(t *testing.T) {
	conn := &clocked{}
	s := newSender(conn, time.Second, slog.DiscardHandler)
	defer s.Close()
	s.Add(decided(1))
	s.Add(decided(2))
	if !s.open.HasBatch() {
		t.Error("no batch before")
	}
	s.ForbidBatch()
	// The batch that is open is sent as single verdicts.
	if err := s.Flush(); err != nil || len(conn.sent) != 2 {
		t.Errorf("%d datagrams, %v", len(conn.sent), err)
	}
	s.Add(decided(3))
	s.Add(decided(4))
	if s.open.HasBatch() {
		t.Error("a batch")
	}
}
