// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// Of connections over IPv4 and IPv6, whose requests come in two segments, those with a text
// are rejected before the server has seen a byte, and the others go on.
func TestIPS(t *testing.T) {
	n := labtest.Routed(t)
	p := labtest.Start(t, n.Middle, queues, "evil.example", "/etc/passwd")
	labtest.AwaitRules(t, n.Middle)
	for i, addr := range []netip.Addr{n.Server4, n.Server6} {
		at := netip.AddrPortFrom(addr, uint16(8000+i)).String()
		l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", at) })
		labtest.Must(t, err)
		defer l.Close()
		for _, r := range []struct {
			target, host string
			good         bool
		}{
			{"/", "www.example", true}, {"/", "evil.example", false},
			{"/../etc/passwd", "www.example", false},
			{"/again", "www.example", true}, {"/again", "evil.example", false},
			{"/third", "www.example", true},
		} {
			request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", r.target, r.host)
			seen, err := exchange(t, n, l, request)
			if r.good && (seen != request || err != nil) {
				t.Errorf("%s: %q: the server sees %q, %v", at, request, seen, err)
			}
			if !r.good && (seen != "" || !errors.Is(err, unix.ECONNRESET)) {
				t.Errorf("%s: %q: the server sees %q, the client %v", at, request, seen, err)
			}
		}
	}
	p.Terminate(t, `"evil.example"`, `"/etc/passwd"`, "12 connections: 6 accepted, 6 rejected\n")
}

// exchange sends a request in two segments, which the server sends back. It returns what the
// server has seen, and why the client reads nothing.
func exchange(t *testing.T, n *netlab.Network, l net.Listener, request string) (seen string,
	clientErr error) {
	t.Helper()
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
	labtest.Must(t, err)
	defer c.Close()
	s, err := l.Accept()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	for _, part := range []string{request[:10], request[10:]} {
		if _, err := io.WriteString(c, part); err != nil {
			return "", err
		}
	}
	b := make([]byte, len(request))
	heard := make(chan string)
	go func() {
		n, err := io.ReadFull(s, b)
		if err == nil {
			_, _ = s.Write(b)
		}
		heard <- string(b[:n])
	}()
	_, clientErr = io.ReadFull(c, make([]byte, len(request)))
	if clientErr != nil {
		_ = s.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	}
	return <-heard, clientErr
}
