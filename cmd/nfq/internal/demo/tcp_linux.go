// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// streamLength is enough for packets larger than the MTU.
const streamLength = 200 << 10

// tcp sends a stream to the server and, when that has ended, one back.
func (p *path) tcp(ctx context.Context) error {
	addr := netip.AddrPortFrom(p.server, tcpPort)
	listener, err := open(ctx, p, p.network.Server, func() (*net.TCPListener, error) {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	})
	if err != nil {
		return err
	}
	client, err := open(ctx, p, p.network.Client, func() (*net.TCPConn, error) {
		return (&net.Dialer{}).DialTCP(ctx, "tcp", netip.AddrPort{}, addr)
	})
	if err != nil {
		return err
	}
	server, err := listener.AcceptTCP()
	if err != nil {
		return err
	}
	p.adopt(ctx, server)
	for _, c := range []*net.TCPConn{client, server} {
		// No connection, and with it no namespace, outlives its sockets.
		if err := c.SetLinger(0); err != nil {
			return err
		}
	}

	toServer, toClient := text("to the server"), text("to the client")
	p.flow(tcpToServer).send(toServer, toServer)
	p.flow(tcpToClient).send(toClient, replaced(p, toClient, bytes.ToUpper(toClient)))
	served := make(chan error, 1)
	go func() {
		served <- errors.Join(readStream(server, p.flow(tcpToServer)), writeStream(server, toClient))
	}()
	err = writeStream(client, toServer)
	if err == nil {
		err = readStream(client, p.flow(tcpToClient))
	}
	if err != nil {
		_ = client.Close()
	}
	if err = errors.Join(err, <-served); err != nil {
		return err
	}
	return p.fence()
}

// text makes a stream in which no two pieces are equal.
func text(to string) []byte {
	var b []byte
	for i := 0; len(b) < streamLength; i++ {
		b = fmt.Appendf(b, "line %d %s\n", i, to)
	}
	return b[:streamLength]
}

func writeStream(c *net.TCPConn, stream []byte) error {
	if _, err := c.Write(stream); err != nil {
		return err
	}
	return c.CloseWrite()
}

func readStream(c *net.TCPConn, f *flow) error {
	stream, err := io.ReadAll(c)
	f.got = append(f.got, stream)
	return err
}
