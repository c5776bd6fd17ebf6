// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// requestKind is what becomes of a request.
type requestKind int

const (
	allowed   requestKind = iota // the client waits for the answer
	abandoned                    // allowed, and the client does not wait
	blocked
	rejected // the client waits to be told
	half     // no line of it becomes whole
	requestKinds
)

var (
	requestNames = [...]string{"allowed", "abandoned", "blocked", "rejected", "half"}
	requestWords = [...]string{"good ", "good ", "drop ", "deny ", "half "}
	// requestChances are equally likely.
	requestChances = []requestKind{allowed, allowed, allowed, abandoned, blocked, blocked, rejected,
		rejected, half, half}
)

// request is what a client says on a connection. An allowed one begins with a line that has its
// number.
type request struct {
	kind  requestKind
	from  netip.AddrPort
	text  string
	heard atomic.Bool // a connection of the server has its first line
}

const (
	lineDigits  = 10
	lineLen     = len("good ") + lineDigits + len("\n")
	longRequest = 3000 // bytes behind the line, at most
	answer      = "ok"
)

// newRequest makes a request, which servers know by its number.
func (s *soak) newRequest(from netip.AddrPort, rnd *rand.Rand) *request {
	r := &request{kind: requestChances[rnd.IntN(len(requestChances))], from: from}
	number := s.number.Add(1)
	end := "\n"
	if r.kind == half {
		end = ""
	}
	r.text = fmt.Sprintf("%s%0*d%s%s", requestWords[r.kind], lineDigits, number, end,
		letters(rnd, rnd.IntN(longRequest)))
	if r.kind == half {
		r.text = r.text[:1+rnd.IntN(len(r.text))]
	}
	s.requests.Store(number, r)
	return r
}

// client makes one connection after another from the same port.
func (s *soak) client(ctx context.Context, from, to netip.AddrPort, rnd *rand.Rand) {
	for ctx.Err() == nil {
		r := s.newRequest(from, rnd)
		c, err := dialFrom(ctx, s.Network, from, to, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		})
		if err == nil {
			err = s.ask(ctx, c.(*net.TCPConn), r, rnd)
		} else {
			pause(rnd, 20) // as when the earlier connection is in TIME_WAIT
		}
		if ctx.Err() == nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			s.note(r.kind, err)
		}
	}
}

// ask makes a request, and ends its connection. It returns why the client has no answer, if it
// wants one.
func (s *soak) ask(ctx context.Context, c *net.TCPConn, r *request, rnd *rand.Rand) error {
	defer s.end(c, rnd)
	defer bound(ctx, c, 10*time.Second)()
	var cuts []int
	for at := 0; ; {
		if rnd.IntN(3) == 0 {
			at++
		} else {
			at += 1 + rnd.IntN(longRequest/2)
		}
		if at >= len(r.text) {
			break
		}
		cuts = append(cuts, at)
	}
	parts, _ := cutAt(r.text, cuts...)
	_ = say(c, parts...) // where this fails, so does what follows
	switch r.kind {
	case allowed:
		_, err := io.ReadFull(c, make([]byte, len(answer)))
		return err
	case rejected:
		n, err := c.Read(make([]byte, 1))
		switch {
		case n > 0:
			s.t.Errorf("a server answers %.40q of %v", r.text, r.from)
		case errors.Is(err, unix.ECONNRESET):
			return nil
		}
		return err
	case blocked, half:
		pause(rnd, 50)
	}
	return nil
}

// note counts how a connection ended for its client.
func (s *soak) note(k requestKind, err error) {
	what := requestNames[k]
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = fmt.Errorf("%s: %w", op.Op, op.Err)
		}
		what += ": " + err.Error()
	}
	s.mu.Lock()
	s.outcomes[what]++
	s.asked[k]++
	if err == nil {
		s.answered[k]++
	}
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// accept serves the connections of a listener until that is closed.
func (s *soak) accept(ctx context.Context, l *net.TCPListener, family int) {
	for stream := 1000 + family; ; stream += 2 {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		s.all.Go(func() { s.server(ctx, c, s.choices(stream)) })
	}
}

// server answers a request, listens on, and ends the connection after a time.
func (s *soak) server(ctx context.Context, c *net.TCPConn, rnd *rand.Rand) {
	defer s.end(c, rnd)
	defer bound(ctx, c, time.Duration(500+rnd.IntN(4000))*time.Millisecond)()
	h := hearing{from: c.RemoteAddr().(*net.TCPAddr).AddrPort()}
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		h.text += string(b[:n])
		if !s.mayHear(&h) {
			s.t.Errorf("after %v the server hears %.40q from %v",
				time.Since(s.began).Round(time.Millisecond), h.text, h.from)
			return
		}
		if n > 0 && h.of != nil && h.text == h.of.text {
			pause(rnd, 20) // the client may be gone
			_ = say(c, answer)
		}
		if err != nil {
			return
		}
	}
}

// hearing is what a connection of the server has heard.
type hearing struct {
	from netip.AddrPort
	text string
	of   *request // once the first line is whole
}

// mayHear reports whether all that was heard belongs to one request, which is allowed, is of this
// client, and is heard by no other connection.
func (s *soak) mayHear(h *hearing) bool {
	word := requestWords[allowed]
	switch n := min(len(h.text), len(word)); {
	case h.text[:n] != word[:n]:
		return false
	case len(h.text) < lineLen:
		return true
	case h.of == nil:
		number, _ := strconv.ParseUint(h.text[len(word):lineLen-1], 10, 64)
		r, known := s.requests.Load(number)
		if !known || r.(*request).from != h.from || r.(*request).heard.Swap(true) {
			return false
		}
		h.of = r.(*request)
	}
	return strings.HasPrefix(h.of.text, h.text)
}

// end ends a connection: by FIN and a reset after a while, by a reset, or without a packet.
func (s *soak) end(c *net.TCPConn, rnd *rand.Rand) {
	switch rnd.IntN(3) {
	case 0:
		_ = c.CloseWrite()
		pause(rnd, 30)
		reset(s.t, c)
	case 1:
		reset(s.t, c)
	default:
		labtest.Forget(s.t, c)
	}
}

// bound gives a connection a deadline, and brings it forward when ctx ends, unless stop is called
// before.
func bound(ctx context.Context, c *net.TCPConn, limit time.Duration) (stop func() bool) {
	_ = c.SetDeadline(time.Now().Add(limit))
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// pause lasts up to most milliseconds. It is a part of what clients and servers do; nothing relies
// on it.
func pause(rnd *rand.Rand, most int) {
	time.Sleep(time.Duration(rnd.IntN(most)) * time.Millisecond)
}
