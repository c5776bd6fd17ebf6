// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// rows returns the rows of the table with a result, without that.
func rows(out, result string) []string {
	var found []string
	for l := range strings.Lines(out) {
		if row, ok := strings.CutSuffix(strings.TrimSuffix(l, "\n"), "  "+result); ok {
			found = append(found, strings.Join(strings.Fields(row), " "))
		}
	}
	return found
}

func TestScenario(t *testing.T) {
	labtest.NeedReplace(t)
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all %t", all), func(t *testing.T) { testScenario(t, all) })
	}
}

func testScenario(t *testing.T, all bool) {
	var out bytes.Buffer
	if err := Run(t.Context(), &out, false, all); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if n, want := len(rows(out.String(), "ok")), 2*int(kinds-1); n != want {
		t.Errorf("%d flows ok, want %d", n, want)
	}
	for _, want := range []string{
		// Flow, family, sent, accepted, dropped, rewritten, marked, seen by the rule, received,
		// expected.
		"echo, 2nd dropped, 3rd rewritten ip6 4 3 1 1 0 - 3 3",
		"echo reply ip 3 3 0 0 0 - 3 3",
		"udp 5001, accepted ip 2 2 0 0 0 - 2 2",
		"udp 5002, dropped ip6 2 0 2 0 0 - 0 0",
		"udp 5003, a word replaced ip 2 2 0 1 0 - 2 2",
		"udp 5004, a word made longer ip6 2 2 0 1 0 - 2 2",
		"udp 5005, marked, a rule counts it ip 2 2 0 0 2 2 2 2",
		"udp 5006, marked, a rule drops it ip6 2 2 0 0 2 2 0 0",
		"dns answer, address rewritten ip6 1 1 0 1 0 - 1 1",
	} {
		if !slices.Contains(rows(out.String(), "ok"), want) {
			t.Errorf("the table has no row %q", want)
		}
	}
	wanted := []string{
		" ip  client       server        echo request 2     36  drop\n",
		" server:5004   udp                39  accept, \"cat\" to \"elephant\"\n",
		" server:5006   udp                33  accept, mark 0xf1\n",
		"accept, answer to 203.0.113.99\n",
		"to upper case\n",
	}
	if all {
		wanted = append(wanted, " ip6 server       client        echo reply 3       58  accept\n",
			" gso ", "accept, answer to 2001:db8:3::99\n")
	}
	for _, want := range wanted {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no packet line with %q", want)
		}
	}
	lines := strings.Split(out.String(), "\n")
	for _, line := range lines {
		if len(line) > columns {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if before := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "FLOW") }); !all &&
		before > 25 {
		t.Errorf("%d lines come before the table", before)
	}
	if last := lines[len(lines)-2]; !strings.HasPrefix(last, "all 28 flows as expected") ||
		!strings.Contains(lines[len(lines)-3], "  ok") {
		t.Errorf("the last lines are not the table and the verdict: %q", lines[len(lines)-4:])
	}
	if t.Failed() {
		t.Logf("%s", &out)
	}
}

// The scenario has to notice a handler that does not do what it says.
func TestWrongHandler(t *testing.T) {
	labtest.NeedReplace(t)
	is := func(p *nfqueue.Packet, k kind) bool { return classify(viewOf(p.Payload())) == k }
	for _, test := range []struct {
		name    string
		handler func(right nfqueue.Handler) nfqueue.HandlerFunc
		failed  []kind
	}{
		{
			"accepts what it claims to drop",
			func(right nfqueue.Handler) nfqueue.HandlerFunc {
				return func(p *nfqueue.Packet) nfqueue.Verdict {
					right.ServePacket(p)
					return nfqueue.Accept
				}
			},
			// A request too many makes a reply too many.
			[]kind{echoRequest, echoReply, udpDropped},
		},
		{
			"sends no edits",
			func(right nfqueue.Handler) nfqueue.HandlerFunc {
				return func(p *nfqueue.Packet) nfqueue.Verdict { return right.ServePacket(p.Clone()) }
			},
			[]kind{echoRequest, echoReply, udpReplaced, udpLengthened, udpCounted, udpFiltered, dnsAnswer,
				tcpToClient},
		},
		{
			"drops what it claims to accept",
			func(right nfqueue.Handler) nfqueue.HandlerFunc {
				return func(p *nfqueue.Packet) nfqueue.Verdict {
					v := right.ServePacket(p)
					if is(p, udpAccepted) {
						return nfqueue.Drop
					}
					return v
				}
			},
			[]kind{udpAccepted},
		},
		{
			"breaks a checksum",
			func(right nfqueue.Handler) nfqueue.HandlerFunc {
				return func(p *nfqueue.Packet) nfqueue.Verdict {
					v := right.ServePacket(p)
					if is(p, udpAccepted) {
						b := p.Payload()
						b[viewOf(b).body-1] ^= 0x55
						if err := p.SetPayloadRaw(b); err != nil {
							t.Error(err)
						}
					}
					return v
				}
			},
			[]kind{udpAccepted},
		},
		{
			"changes a byte of a stream",
			func(right nfqueue.Handler) nfqueue.HandlerFunc {
				return func(p *nfqueue.Packet) nfqueue.Verdict {
					v := right.ServePacket(p)
					if b := p.Payload(); is(p, tcpToServer) && viewOf(b).body < len(b) {
						b[len(b)-1] ^= 1
						if err := p.SetPayload(b); err != nil {
							t.Error(err)
						}
					}
					return v
				}
			},
			[]kind{tcpToServer},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(
				t.Context(),
				&screen{out: &out},
				timeLimit,
				func(right nfqueue.Handler) nfqueue.Handler {
					return test.handler(right)
				},
			)
			if !errors.Is(err, ErrFailed) {
				t.Errorf("error %v, want ErrFailed", err)
			}
			failed := rows(out.String(), "FAILED")
			for _, k := range test.failed {
				for _, family := range families {
					name := k.String() + " " + family.String() + " "
					if !slices.ContainsFunc(failed,
						func(row string) bool { return strings.HasPrefix(row, name) }) {
						t.Errorf("%q, %v has not failed", k, family)
					}
				}
			}
			if len(failed) != 2*len(test.failed) {
				t.Errorf("%d flows failed, want %d", len(failed), 2*len(test.failed))
			}
			if t.Failed() {
				t.Logf("%s", &out)
			}
		})
	}
}

// Traffic that does not arrive ends in a table too.
func TestLostTraffic(t *testing.T) {
	labtest.Need(t)
	var out bytes.Buffer
	err := run(t.Context(), &screen{out: &out}, time.Second, func(nfqueue.Handler) nfqueue.Handler {
		return nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop })
	})
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "within 1s") {
		t.Errorf("error %v, want ErrFailed within 1s", err)
	}
	if want := "FAILED marker, to the server, ip: the far end did not receive \"marker 1\"\n"; !strings.Contains(
		out.String(),
		want,
	) {
		t.Errorf("no line %q:\n%s", want, &out)
	}
}

func TestPanic(t *testing.T) {
	labtest.Need(t)
	var out bytes.Buffer
	err := run(t.Context(), &screen{out: &out}, timeLimit, func(nfqueue.Handler) nfqueue.Handler {
		return nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { panic("on purpose") })
	})
	var panicked *nfqueue.PanicError
	if !errors.As(err, &panicked) || errors.Is(err, ErrFailed) {
		t.Errorf("error %v, want a PanicError alone", err)
	}
}

func TestInterrupted(t *testing.T) {
	labtest.Need(t)
	for _, k := range []kind{echoRequest, dnsQuery, tcpToClient, markerThere} {
		ctx, interrupt := context.WithCancel(t.Context())
		var out bytes.Buffer
		err := run(ctx, &screen{out: &out}, timeLimit, func(right nfqueue.Handler) nfqueue.Handler {
			return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if classify(viewOf(p.Payload())) == k {
					interrupt()
				}
				return right.ServePacket(p)
			})
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted at %v: error %v, want context.Canceled", k, err)
		}
		if strings.Contains(out.String(), "RESULT") {
			t.Errorf("interrupted at %v: there is a table", k)
		}
	}
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestOutputFails(t *testing.T) {
	labtest.Need(t)
	if err := Run(t.Context(), full{}, false, true); err == nil ||
		!strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v, want that of the writer", err)
	}
}
