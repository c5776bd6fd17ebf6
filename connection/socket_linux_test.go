// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// A handler sees the bytes that the server's socket gives out: for segments in any order,
// cut in any way, sent again, and with other bytes than the first copy had.
func TestSameAsSocket(t *testing.T) {
	n := labtest.Pair(t)
	// The client's kernel knows nothing of these connections, and must not end them.
	labtest.Rule(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Input, 0), netlab.L4Proto(6),
		netlab.Drop())
	labtest.Install(t, n.Server, "in tcp dport 80", "out tcp sport 80")
	seen := make(chan string, 1) // all that a connection has said
	tr := connection.New(connection.Config{MaxPackets: 1000, MaxBytes: 1 << 15, Timeout: time.Minute},
		connection.HandlerFunc(func(c *connection.Conn) connection.Answer {
			if !c.Finished(connection.Original) {
				return connection.More
			}
			seen <- string(c.Bytes(connection.Original))
			return connection.Accept
		}))
	answers := make(chan uint32, 1) // sequence numbers of SYN-ACK
	serve(t, n.Server, nfqueue.Config{}, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if tcp, ok := p.Transport(); ok && tcp.Header[13] == 0x12 {
			select {
			case answers <- binary.BigEndian.Uint32(tcp.Header[4:]):
			default: // sent again
			}
		}
		return tr.ServePacket(p)
	}))
	at := netip.AddrPortFrom(n.Server4, 80)
	l := listen(t, n, at)
	fd, err := netlab.In(n.Client, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	})
	labtest.Must(t, err)
	defer unix.Close(fd)
	send := func(packet []byte) {
		t.Helper()
		labtest.Must(t, unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: n.Server4.As4()}))
	}

	r := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		e := ends{client: netip.AddrPortFrom(n.Client4, uint16(10000+i)), server: at}
		first := r.Uint32()
		send(e.tcp("S", first, 0, ""))
		ack := <-answers + 1
		send(e.tcp("A", first+1, ack, ""))
		s, err := l.Accept()
		labtest.Must(t, err)

		text := make([]byte, 1+r.IntN(3000))
		for j := range text {
			text[j] = byte('a' + r.IntN(26))
		}
		for _, p := range schedule(r, text) {
			send(e.tcp("A", first+1+uint32(p.at), ack, p.data))
		}
		send(e.tcp("FA", first+1+uint32(len(text)), ack, ""))
		labtest.Must(t, s.SetReadDeadline(time.Now().Add(patience)))
		got, err := io.ReadAll(s)
		labtest.Must(t, err)
		if handler := <-seen; handler != string(got) || len(got) != len(text) {
			t.Fatalf("connection %d: the handler sees\n%s, the socket\n%s", i, handler, got)
		}
		labtest.Must(t, s.Close())
	}
	if tr.Stats().Conflicts == 0 {
		t.Error("no copies differed")
	}
}

// part is a segment: data at an offset.
type part struct {
	at   int
	data string
}

// schedule cuts text into segments, of which some overlap and some come twice, in an order
// that is not right. Behind the first is a copy with other bytes.
func schedule(r *rand.Rand, text []byte) (parts []part) {
	for at := 0; at < len(text); {
		n := min(1+r.IntN(500), len(text)-at)
		from := max(at-r.IntN(3)*r.IntN(100), 0)
		parts = append(parts, part{from, string(text[from : at+n])})
		at += n
	}
	for range r.IntN(4) {
		parts = append(parts, parts[r.IntN(len(parts))])
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	if len(parts) > 2 { // the first that comes is known before the rest
		p := parts[0]
		end := min(p.at+len(p.data)+50, len(text)) // all of it: Linux would rather have the longer one
		other := part{p.at, strings.ToUpper(string(text[p.at:end]))}
		parts = append([]part{p, other}, parts[1:]...)
	}
	return parts
}
