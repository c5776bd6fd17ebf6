// SPDX-License-Identifier: GPL-2.0-or-later

package fault_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// A Logger panics, or ends its goroutine, on a line about a packet that a handler has. That packet
// has its verdict all the same, and the queue can be served again.
func TestFaultLoggerDoesNotReturn(t *testing.T) {
	broken := errors.New("for the test")
	for what, fail := range map[string]func(){
		"panic":  func() { panic(broken) },
		"Goexit": runtime.Goexit,
	} {
		for line, want := range map[string]nfqueue.Verdict{
			"invalid verdict": nfqueue.Drop,
			"slow handler":    nfqueue.Accept,
			"round and round": nfqueue.Accept,
		} {
			for name, serve := range queuelab.Servers {
				t.Run(what+"/"+line+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						k := newFaulty(t)
						q := k.open(nfqueue.Config{
							SlowHandler: time.Second,
							Logger:      slog.New(hook{line: fail}),
						})
						ended := make(chan error, 1)
						go func() {
							err := errors.New("Serve has not returned")
							defer func() {
								if v := recover(); v != nil {
									err = v.(error)
								}
								ended <- err
							}()
							err = serve(context.Background(), q, func(p *nfqueue.Packet) nfqueue.Verdict {
								switch {
								case p.Mark() == 0:
								case line == "round and round":
									return nfqueue.Repeat
								case line == "slow handler":
									time.Sleep(2 * time.Second)
								default:
									return 2
								}
								return nfqueue.Accept
							})
						}()
						bad := k.Send(0, nfqueuetest.Spec{Mark: 1, Payload: smallPacket})
						good := k.send(1)[0]
						if err := <-ended; err == nil || what == "panic" && !errors.Is(err, broken) {
							t.Errorf("Serve: %v", err)
						}
						s := queuelab.StartServing(q, queuelab.Always(nfqueue.Accept))
						wantVerdict(t, good, nfqueue.Accept)
						if err := s.Stop(); err != nil {
							t.Error(err)
						}
						if r := bad.Result(); r.Verdict != want || r.Cause != nfqueuetest.Decided {
							t.Errorf("%v: %v, %v, want %v", bad, r.Verdict, r.Cause, want)
						}
					})
				})
			}
		}
	}
}
