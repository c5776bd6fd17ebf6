// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// Of a connection with a thousand exchanges the program sees the three packets until the
// first with data.
func TestConnMark(t *testing.T) {
	n := labtest.Pair(t)
	at := netip.AddrPortFrom(n.Server4, 80).String()
	l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", at) })
	labtest.Must(t, err)
	defer l.Close()
	p := labtest.Start(t, n.Client, 1)
	labtest.AwaitRules(t, n.Client)
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.Dial("tcp", at) })
	labtest.Must(t, err)
	defer c.Close()
	s, err := l.Accept()
	labtest.Must(t, err)
	defer s.Close()
	labtest.Must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	labtest.Must(t, s.SetDeadline(time.Now().Add(20*time.Second)))
	const request = "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
	b := make([]byte, len(request))
	for range 1000 {
		for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
			if _, err := io.WriteString(way[0], request); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], b); err != nil {
				t.Fatal(err)
			}
		}
	}
	// SYN, ACK, and the first request.
	p.Terminate(t, ":80: www.example\n", " 3 packets seen of 1 connections\n")
}
