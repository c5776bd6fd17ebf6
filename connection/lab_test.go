// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// lab is a queue in memory that a Tracker serves.
type lab struct {
	t *testing.T
	k *nfqueuetest.Kernel
	*connection.Tracker
}

func newLab(t *testing.T, cfg connection.Config, h connection.HandlerFunc) *lab {
	l := &lab{t: t, k: nfqueuetest.NewKernel(t), Tracker: connection.New(cfg, h)}
	l.k.Serve(nfqueue.Config{MaxLen: 4096}, l)
	return l
}

// send sends a packet to the queue.
func (l *lab) send(packet []byte) *nfqueuetest.Flight {
	l.t.Helper()
	return l.k.Send(0, nfqueuetest.Spec{Payload: packet, Hook: nfqueue.HookForward})
}

// passes fails the test unless the packet passes at once.
func (l *lab) passes(packet []byte) {
	l.t.Helper()
	if r := l.send(packet).Result(); !r.Passed {
		l.t.Fatalf("dropped: %v", r.Verdict)
	}
}

// dropped fails the test unless the packet is dropped at once.
func (l *lab) dropped(packet []byte) {
	l.t.Helper()
	if r := l.send(packet).Result(); r.Passed {
		l.t.Fatal("passed")
	}
}

// held fails the test unless the packet is held. A further packet, which must pass, shows
// that the handler has returned.
func (l *lab) held(packet, further []byte) *nfqueuetest.Flight {
	l.t.Helper()
	f := l.send(packet)
	l.passes(further)
	select {
	case <-f.Done():
		l.t.Fatalf("not held: %+v", f.Result())
	default:
	}
	return f
}

// ends are the ends of a connection.
type ends struct {
	client, server netip.AddrPort
	options        bool // IPv6 destination options before the TCP header
}

var (
	ends4 = ends{client: netip.MustParseAddrPort("192.0.2.1:4000"),
		server: netip.MustParseAddrPort("198.51.100.1:443")}
	ends6 = ends{client: netip.MustParseAddrPort("[2001:db8::1]:4000"),
		server: netip.MustParseAddrPort("[2001:db8:1::1]:443")}
)

// port returns ends with another port of the client.
func (e ends) port(n int) ends {
	e.client = netip.AddrPortFrom(e.client.Addr(), uint16(n))
	return e
}

func (e ends) reverse() ends {
	e.client, e.server = e.server, e.client
	return e
}

// tcp makes a segment. Flags are letters: S, A, F, R.
func (e ends) tcp(flags string, seq, ack uint32, body string) []byte {
	h := nfqueuetest.TCPHeader{Seq: seq, Ack: ack}
	for _, letter := range flags {
		h.Flags |= map[rune]nfqueuetest.TCPFlags{
			'S': nfqueuetest.SYN, 'A': nfqueuetest.ACK, 'F': nfqueuetest.FIN, 'R': nfqueuetest.RST,
		}[letter]
	}
	b := nfqueuetest.TCP(e.client, e.server, h, []byte(body))
	if !e.options {
		return b
	}
	const destinationOptions = 60
	options := []byte{byte(nfqueue.TCP), 0, 1, 4, 0, 0, 0, 0}
	return nfqueuetest.IP(e.client.Addr(), e.server.Addr(), destinationOptions,
		append(options, b[40:]...))
}

func (e ends) udp(body string) []byte { return nfqueuetest.UDP(e.client, e.server, []byte(body)) }

// isn is the client's initial sequence number: sequence numbers wrap around.
var isn uint32 = 0xfffffff0

const peerISN = 7000

// open sends a handshake, which must pass.
func (l *lab) open(e ends) {
	l.t.Helper()
	l.passes(e.tcp("S", isn, 0, ""))
	l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
	l.passes(e.tcp("A", isn+1, peerISN+1, ""))
}

// data makes a segment of the client with data at an offset of the stream.
func (e ends) data(at int, body string) []byte {
	return e.tcp("A", isn+1+uint32(at), peerISN+1, body)
}

// ack makes a segment of the client without data.
func (e ends) ack() []byte { return e.tcp("A", isn+1, peerISN+1, "") }

// reply makes a segment of the server.
func (e ends) reply(at int, body string) []byte {
	return e.reverse().tcp("A", peerISN+1+uint32(at), isn+1, body)
}

// line answers when the original direction has a whole line: whether it says "good".
func line(c *connection.Conn) connection.Answer {
	text, _, whole := strings.Cut(string(c.Bytes(connection.Original)), "\n")
	switch {
	case !whole:
		return connection.More
	case text == "good":
		return connection.Accept
	case text == "reject":
		return connection.Reject
	}
	return connection.Drop
}
