// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

const patience = 20 * time.Second

// The server sees the Client Hello of a name that is not blocked, and no byte of another.
// The client knows at once, or with -drop never.
func TestBlockSNI(t *testing.T) {
	for _, c := range []struct {
		mtu  int // the hello fills one segment or several
		args []string
		want error
	}{
		{1500, nil, unix.ECONNRESET},
		{1280, nil, unix.ECONNRESET},
		{600, []string{"-drop"}, os.ErrDeadlineExceeded},
	} {
		n := labtest.Pair(t)
		labtest.Must(t, n.Client.SetMTU(netlab.Eth, c.mtu))
		at := netip.AddrPortFrom(n.Server4, 443)
		l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", at.String()) })
		labtest.Must(t, err)
		defer l.Close()
		p := labtest.Start(t, n.Client, 1, append(c.args, "ads.example", "tracker.example")...)
		labtest.AwaitRules(t, n.Client)
		if seen, _ := greet(t, n, l, "www.example", patience); len(seen) == 0 {
			t.Errorf("MTU %d: the server sees nothing of an allowed name", c.mtu)
		}
		seen, err := greet(t, n, l, "ads.example", 500*time.Millisecond)
		if len(seen) > 0 || !errors.Is(err, c.want) {
			t.Errorf("MTU %d: the server sees %q, the client %v", c.mtu, seen, err)
		}
		p.Terminate(t, "blocked ads.example: tcp 192.0.2.1:")
	}
}

// greet makes a connection, and returns what arrives within a time, and what the client
// reads then.
func greet(t *testing.T, n *netlab.Network, l net.Listener, name string,
	limit time.Duration) (seen []byte, clientErr error) {
	t.Helper()
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
	labtest.Must(t, err)
	defer c.Close()
	s, err := l.Accept()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, c.SetDeadline(time.Now().Add(limit)))
	labtest.Must(t, s.SetDeadline(time.Now().Add(limit+limit/2)))
	read := make(chan []byte)
	go func() {
		b := make([]byte, 1)
		_, err := io.ReadFull(s, b)
		if err != nil {
			b = nil
		}
		s.Close()
		read <- b
	}()
	clientErr = tls.Client(c, &tls.Config{ServerName: name}).HandshakeContext(t.Context())
	return <-read, clientErr
}

// A download that began before the program goes on, whichever of its packets is seen first.
func TestOlderDownload(t *testing.T) {
	client := netip.MustParseAddrPort("192.0.2.1:40000")
	server := netip.MustParseAddrPort("198.51.100.80:443")
	ack := nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: 1, Ack: 1}
	data := nfqueuetest.TCP(server, client, ack, []byte("\x17\x03\x03\x04\x00 a record"))
	for name, packets := range map[string][][]byte{
		"server":          {data},
		"acknowledgement": {nfqueuetest.TCP(client, server, ack, nil), data},
	} {
		k := nfqueuetest.NewKernel(t)
		k.Serve(nfqueue.Config{}, connection.New(connection.Config{Hold: true, Fallback: connection.Drop},
			&blocker{block: connection.Drop}))
		for _, p := range packets {
			if r := k.Send(0, nfqueuetest.Spec{Payload: p}).Result(); !r.Passed {
				t.Errorf("%s: %v", name, r.Verdict)
			}
		}
	}
}

// A QUIC connection is known by its first datagram.
func TestBlockQUIC(t *testing.T) {
	n := labtest.Pair(t)
	text, err := os.ReadFile("../../inspect/quicinitial/testdata/rfc9001.hex") // for example.com
	labtest.Must(t, err)
	initial, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	labtest.Must(t, err)
	at := netip.AddrPortFrom(n.Server4, 443)
	u := labtest.SendUDP(t, n.Client, n.Server, at)
	for _, c := range []struct {
		name    string
		blocked bool
	}{{"other.example", false}, {"example.com", true}} {
		p := labtest.Start(t, n.Client, 1, c.name)
		labtest.AwaitRules(t, n.Client)
		from, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("udp", at.String()) })
		labtest.Must(t, err)
		defer from.Close()
		if _, err := from.Write(initial); err != nil {
			t.Fatal(err)
		}
		if !c.blocked {
			u.Arrive(t, string(initial))
			p.Terminate(t)
			continue
		}
		labtest.Must(t, from.SetReadDeadline(time.Now().Add(patience)))
		if _, err := from.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("the client reads: %v", err)
		}
		p.Terminate(t, "blocked example.com: udp 192.0.2.1:")
	}
}
