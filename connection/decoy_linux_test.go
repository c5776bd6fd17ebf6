// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// stamped makes a segment of the client with a timestamp, and with further options.
func (e ends) stamped(flags nfqueuetest.TCPFlags, seq, ack, stamp uint32, body string,
	options ...byte) []byte {
	options = append(binary.BigEndian.AppendUint32([]byte{1, 1, 8, 10}, stamp),
		append(make([]byte, 4), options...)...)
	return nfqueuetest.TCP(e.client, e.server,
		nfqueuetest.TCPHeader{Flags: flags, Seq: seq, Ack: ack, Options: options}, []byte(body))
}

// decoy is a segment that a server ignores, and a router does not.
type decoy struct {
	make func(e ends, seq, ack uint32, body string) []byte
	seen bool // by the handler
}

var decoys = map[string]decoy{
	"wrong checksum": {func(e ends, seq, ack uint32, body string) []byte {
		b := e.stamped(nfqueuetest.ACK, seq, ack, 1000, body)
		b[len(b)-len(body)-32+16] ^= 0x55
		return b
	}, true},
	"expires on the way": {func(e ends, seq, ack uint32, body string) []byte {
		b := e.stamped(nfqueuetest.ACK, seq, ack, 1000, body)
		if b[0]>>4 == 6 {
			b[7] = 20
			return b
		}
		b[8] = 20
		if err := ippkt.Complete(b); err != nil {
			panic(err)
		}
		return b
	}, true},
	"signed": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(nfqueuetest.ACK, seq, ack, 1000, body,
			append([]byte{19, 18}, make([]byte, 16)...)...)
	}, true},
	"authenticated": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(nfqueuetest.ACK, seq, ack, 1000, body,
			append([]byte{29, 16}, make([]byte, 14)...)...)
	}, true},
	"old timestamp": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(nfqueuetest.ACK, seq, ack, 0xfff00000, body)
	}, true},
	"acknowledges too much": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(nfqueuetest.ACK, seq, ack+1<<20, 1000, body)
	}, false},
	"acknowledges too little": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(nfqueuetest.ACK, seq, ack-1<<30, 1000, body)
	}, false},
	"without ACK": {func(e ends, seq, ack uint32, body string) []byte {
		return e.stamped(0, seq, ack, 1000, body)
	}, false},
}

// A connection is not accepted on bytes that the server ignored: other bytes in their place do
// not pass. Once it has acknowledged them, nothing is queued any more.
func TestDecoys(t *testing.T) {
	const first = 1000000
	for _, hold := range []bool{true, false} {
		n := newRouter(t, connection.Config{Hold: hold}, line, nil)
		send, acks, acked := rawClient(t, n.Network)
		port := uint16(5000)
		for _, e := range []ends{
			{client: netip.AddrPortFrom(n.Client4, 0), server: netip.AddrPortFrom(n.Server4, 443)},
			{client: netip.AddrPortFrom(n.Client6, 0), server: netip.AddrPortFrom(n.Server6, 443)},
		} {
			l := listenNear(t, n.Network, e.server)
			for name, decoy := range decoys {
				for _, early := range []bool{false, true} {
					port++
					e := e.port(int(port))
					real := func(at int, ack uint32, body string) {
						t.Helper()
						send(e.stamped(nfqueuetest.ACK, first+1+uint32(at), ack, 1001, body))
					}
					send(e.stamped(nfqueuetest.SYN, first, 0, 1000, ""))
					if early { // before the client can know what to acknowledge
						send(decoy.make(e, first+1, 1, "good\n"))
					}
					ack := <-acks
					real(0, ack, "")
					s, err := l.Accept()
					labtest.Must(t, err)
					send(decoy.make(e, first+1, ack, "g"))
					real(0, ack, "b")
					send(decoy.make(e, first+2, ack, "ood\n"))
					real(0, ack, "bad!\n")
					real(0, ack, "good\n")
					want, limit := "good\nmore\n", patience
					switch {
					case !decoy.seen && hold: // the real ones are bad
						want, limit = "", 100*time.Millisecond
					case !decoy.seen: // the first byte passed before that was known
						want, limit = "b", 100*time.Millisecond
					}
					got := hears(s, 5, limit)
					for end := time.Now().Add(patience); decoy.seen && time.Now().Before(end); runtime.Gosched() {
						if n, _ := acked.Load(uint16(port)); n == uint32(first+6) {
							break
						}
					}
					before := n.seen.Load()
					real(5, ack, "more\n")
					got += hears(s, 5, limit)
					if got != want || n.seen.Load() != before {
						t.Errorf("%s, early %v, hold %v, %v: heard %q, %d packets queued behind",
							name, early, hold, e.server, got, n.seen.Load()-before)
					}
					reset(t, s.(*net.TCPConn))
				}
			}
		}
	}
}

// listenNear listens on the server of a network, and ignores what comes from far away (RFC 5082).
func listenNear(t *testing.T, n *netlab.Network, at netip.AddrPort) net.Listener {
	t.Helper()
	var cfg net.ListenConfig
	cfg.SetMultipathTCP(false) // has no such option
	cfg.Control = func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) {
			if at.Addr().Is4() {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, 50)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 50)
			}
		})
		return errors.Join(e, err)
	}
	l, err := netlab.In(n.Server, func() (net.Listener, error) {
		return cfg.Listen(t.Context(), "tcp", at.String())
	})
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A server that keeps nothing of a SYN (SYN cookies) takes data of whichever SYN it answered. A
// client cannot choose another one after the answer.
func TestCookies(t *testing.T) {
	n := newRouter(t, connection.Config{Hold: true}, line, nil)
	labtest.Must(t, n.Server.SetSysctl("ipv4/tcp_syncookies", "2"))
	send, acks, _ := rawClient(t, n.Network)
	e := ends{client: netip.AddrPortFrom(n.Client4, 5000), server: netip.AddrPortFrom(n.Server4, 443)}
	l := listen(t, n.Network, e.server)
	const one, other = 1000000, 1001000
	send(e.tcp("S", other, 0, ""))
	ackOther := <-acks
	send(e.tcp("S", one, 0, ""))
	ackOne := <-acks
	wrong := e.tcp("A", one+1, ackOne, "good\n")
	wrong[len(wrong)-5-4] ^= 0x55
	send(wrong)
	send(e.tcp("A", other+1, ackOther, "bad\n"))
	labtest.Must(t, l.SetDeadline(time.Now().Add(300*time.Millisecond)))
	if s, err := l.Accept(); err == nil {
		defer s.Close()
		if got := hears(s, 1, 300*time.Millisecond); got != "" {
			t.Errorf("heard %q", got)
		}
	}
}

// What ends an offloaded connection is not seen. The next one with the same ports is another, also
// if it begins with the same sequence number.
func TestSequenceAgain(t *testing.T) {
	const first = 1000000
	n := newRouter(t, connection.Config{Hold: true}, line, nil)
	send, acks, _ := rawClient(t, n.Network)
	for _, e := range []ends{
		{client: netip.AddrPortFrom(n.Client4, 5000), server: netip.AddrPortFrom(n.Server4, 443)},
		{client: netip.AddrPortFrom(n.Client6, 5000), server: netip.AddrPortFrom(n.Server6, 443)},
	} {
		l := listen(t, n.Network, e.server)
		for _, c := range []struct {
			say, want string
			limit     time.Duration
		}{{"good\n", "good\n", patience}, {"bad!\n", "", 200 * time.Millisecond}} {
			send(e.tcp("S", first, 0, ""))
			ack := <-acks
			send(e.tcp("A", first+1, ack, ""))
			s, err := l.Accept()
			labtest.Must(t, err)
			send(e.tcp("A", first+1, ack, c.say))
			if got := hears(s, 5, c.limit); got != c.want {
				t.Errorf("%v: heard %q of %q", e.server, got, c.say)
			}
			send(e.tcp("R", first+6, 0, ""))
			s.Close()
		}
	}
	if s := n.Stats(); s.Accepted != 2 || s.Dropped != 2 {
		t.Errorf("%+v", s)
	}
}

// Where the rules queue one direction, nothing of a client passes unless OneWay says that this is
// meant. Even then it cannot get by with what every server ignores.
func TestOneWay(t *testing.T) {
	const first = 1000000
	for _, oneWay := range []bool{false, true} {
		n := labtest.Routed(t)
		send, acks, _ := rawClient(t, n)
		labtest.Install(t, n.Middle, "forward tcp dport 443 offload")
		tr := connection.New(connection.Config{Hold: true, OneWay: oneWay, Offload: rules.DefaultOffload},
			connection.HandlerFunc(line))
		serve(t, n.Middle, nfqueue.Config{}, tr)
		e := ends{client: netip.AddrPortFrom(n.Client4, 5000), server: netip.AddrPortFrom(n.Server4, 443)}
		l := listen(t, n, e.server)
		send(e.tcp("S", first, 0, ""))
		ack := <-acks
		send(e.tcp("A", first+1, ack, ""))
		s, err := l.Accept()
		labtest.Must(t, err)
		defer s.Close()
		send(e.tcp("", first+1, ack, "good\n"))
		send(e.tcp("A", first+3, ack, "od\n"))
		send(e.tcp("A", first+3, ack, "d!\n"))
		send(e.tcp("A", first+1, ack, "go"))
		want, limit := "", 200*time.Millisecond
		if oneWay {
			want, limit = "good\n", patience
		}
		if got := hears(s, max(len(want), 1), limit); got != want {
			t.Errorf("OneWay %v: heard %q", oneWay, got)
		}
		if s := tr.Stats(); (s.Accepted > 0) != oneWay || s.Ignored == 0 ||
			(s.Unanswered > 0) == oneWay {
			t.Errorf("OneWay %v: %+v", oneWay, s)
		}
	}
}
