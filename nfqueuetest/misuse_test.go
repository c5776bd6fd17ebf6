// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// capitals changes the data of a UDP packet in place.
func capitals(p *nfqueue.Packet) { copy(p.Payload()[28:], bytes.ToUpper(p.Payload()[28:])) }

// forgetful handlers change the payload in place and do not send the change.
var forgetful = map[string]handlerFunc{
	"accept": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		return nfqueue.Accept
	},
	"mark": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		p.SetMark(1)
		return nfqueue.Accept
	},
	"deferred": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		if err := p.Defer().Resolve(nfqueue.Accept); err != nil {
			panic(err)
		}
		return nfqueue.Deferred
	},
	"decided later": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		h := p.Defer()
		time.AfterFunc(50*time.Millisecond, func() { _ = h.Resolve(nfqueue.Accept) })
		return nfqueue.Deferred
	},
}

// careful handlers send it, or do not let the packet through, or leave the payload as it was.
var careful = map[string]handlerFunc{
	"SetPayload": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		if err := p.SetPayload(p.Payload()); err != nil {
			panic(err)
		}
		return nfqueue.Accept
	},
	"copy": func(p *nfqueue.Packet) nfqueue.Verdict {
		changed := bytes.ToUpper(p.Payload())
		_ = changed
		return nfqueue.Accept
	},
	"drop": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		return nfqueue.Drop
	},
	"SetPayload later": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		h := p.Defer()
		time.AfterFunc(50*time.Millisecond, func() {
			if err := h.Packet().SetPayload(h.Packet().Payload()); err != nil {
				panic(err)
			}
			_ = h.Resolve(nfqueue.Accept)
		})
		return nfqueue.Deferred
	},
	"drop later": func(p *nfqueue.Packet) nfqueue.Verdict {
		capitals(p)
		h := p.Defer()
		time.AfterFunc(50*time.Millisecond, func() { _ = h.Resolve(nfqueue.Drop) })
		return nfqueue.Deferred
	},
	"changed back": func(p *nfqueue.Packet) nfqueue.Verdict {
		before := bytes.Clone(p.Payload())
		capitals(p)
		copy(p.Payload(), before)
		return nfqueue.Accept
	},
}

const lostChange = "changed the payload without SetPayload"

func TestDoFailsForLostChange(t *testing.T) {
	for name, h := range forgetful {
		t.Run(name, func(t *testing.T) {
			wantFailure(t, func(tb testing.TB) {
				nfqueuetest.Do(tb, nfqueue.Config{}, h, nfqueuetest.Spec{})
				tb.Log("Do returned")
			}, lostChange, "192.0.2.1:1024", "Do returned")
		})
	}
	for name, h := range careful {
		t.Run(name, func(t *testing.T) {
			wantSuccess(t, func(tb testing.TB) { nfqueuetest.Do(tb, nfqueue.Config{}, h, nfqueuetest.Spec{}) })
		})
	}
}

// The same for a Kernel, with one handler and with several, and for packets of which the test does
// not ask for the result.
func TestKernelFailsForLostChange(t *testing.T) {
	serve := map[string]func(ctx context.Context, q *nfqueue.Queue, h nfqueue.Handler) error{
		"Serve": func(ctx context.Context, q *nfqueue.Queue, h nfqueue.Handler) error { return q.Serve(ctx, h) },
		"ServeFlows": func(ctx context.Context, q *nfqueue.Queue, h nfqueue.Handler) error {
			return q.ServeFlows(ctx, 2, func(int) nfqueue.Handler { return h })
		},
	}
	for way, serve := range serve {
		test := func(h nfqueue.Handler) func(tb testing.TB) {
			return func(tb testing.TB) {
				k := nfqueuetest.NewKernel(tb)
				q, err := k.Open(nfqueue.Config{})
				if err != nil {
					tb.Fatal(err)
				}
				for range 3 {
					k.Send(0, nfqueuetest.Spec{})
				}
				ctx, cancel := context.WithCancel(context.Background())
				cancel() // only what waits is handled
				if err := serve(ctx, q, h); err != nil {
					tb.Error(err)
				}
			}
		}
		for name, h := range forgetful {
			t.Run(way+"/"+name, func(t *testing.T) {
				wantFailure(t, test(h), lostChange, "misuse_test.go")
			})
		}
		for name, h := range careful {
			t.Run(way+"/"+name, func(t *testing.T) { wantSuccess(t, test(h)) })
		}
	}
}

func TestReplayEndsWithLostChange(t *testing.T) {
	for name, h := range forgetful {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open("../testdata/captures/dns.pcapng")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for _, err := range nfqueuetest.Replay(file, nfqueue.Config{}, h, nfqueuetest.Spec{}) {
				if err == nil {
					continue
				}
				if !strings.Contains(err.Error(), lostChange) || !strings.Contains(err.Error(), "packet 1:") {
					t.Error(err)
				}
				return
			}
			t.Error("the loop ended without an error")
		})
	}
}

// What a handler keeps of a packet without a copy is overwritten when it may no longer be used.
func TestKeptMemoryIsPoisoned(t *testing.T) {
	poisoned := func(b []byte) bool { return len(b) > 0 && len(bytes.Trim(b, "\xdb")) == 0 }
	t.Run("Do", func(t *testing.T) {
		var kept []byte
		var packet *nfqueue.Packet
		nfqueuetest.Do(t, nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			kept, packet = p.Payload(), p
			return nfqueue.Accept
		}), nfqueuetest.Spec{})
		if !poisoned(kept) || !poisoned(packet.Payload()) {
			t.Errorf("kept %x and %x", kept, packet.Payload())
		}
	})
	t.Run("Do with a replaced payload", func(t *testing.T) {
		var kept []byte
		r := nfqueuetest.Do(t, nfqueue.Config{}, careful["SetPayload"], nfqueuetest.Spec{})
		kept = r.Payload
		if !bytes.HasSuffix(kept, []byte("NFQUEUETEST")) {
			t.Errorf("%q", kept)
		}
	})
	for _, n := range []int{1, 2} {
		t.Run(map[int]string{1: "Serve", 2: "ServeFlows"}[n], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := nfqueuetest.NewKernel(t)
				q, err := k.Open(nfqueue.Config{Batch: 2})
				if err != nil {
					t.Fatal(err)
				}
				kept, copied := make(chan []byte, 10), make(chan []byte, 10)
				go q.ServeFlows(t.Context(), n, func(int) nfqueue.Handler {
					return handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
						kept <- p.Payload()
						copied <- bytes.Clone(p.Payload())
						return nfqueue.Accept
					})
				})
				// With several workers memory is given back late: send enough that each piece is used
				// again.
				for range 40 {
					k.Send(0, nfqueuetest.Spec{}).Result()
					synctest.Wait()
					if n == 1 {
						if b := <-kept; !poisoned(b) {
							t.Errorf("kept %x", b)
						}
					} else {
						<-kept
					}
					if b := <-copied; poisoned(b) {
						t.Errorf("copied %x", b)
					}
				}
			})
		})
	}
}

func TestRefuseVerdictErrors(t *testing.T) {
	for _, err := range []error{fs.ErrPermission, syscall.EPERM} {
		k := nfqueuetest.NewKernel(t)
		refused := make(chan *nfqueue.VerdictError, 1)
		k.RefuseVerdict(0, err)
		k.Serve(nfqueue.Config{OnRefused: func(e *nfqueue.VerdictError) { refused <- e }},
			always(nfqueue.Drop))
		f := k.Send(0, nfqueuetest.Spec{})
		if e := <-refused; e.ID != 1 {
			t.Errorf("%v", e)
		}
		k.Flush()
		f.Result()
	}
	wantFailure(t, func(tb testing.TB) {
		nfqueuetest.NewKernel(tb).RefuseVerdict(0, os.ErrClosed)
	}, "no error of the kernel")
}
