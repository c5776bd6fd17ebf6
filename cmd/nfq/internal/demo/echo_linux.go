// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// echoProtocol has the numbers of ICMP echo (RFC 792) or ICMPv6 echo (RFC 4443).
type echoProtocol struct {
	protocol       uint8
	request, reply uint8
}

func echoOf(ipv6 bool) echoProtocol {
	if ipv6 {
		return echoProtocol{protocol: unix.IPPROTO_ICMPV6, request: 128, reply: 129}
	}
	return echoProtocol{protocol: unix.IPPROTO_ICMP, request: 8, reply: 0}
}

// echoes is what is sent, by sequence number from 1, and what must arrive and be replied.
var echoes = []struct{ sent, want string }{
	{"ping one", "ping one"},
	{"ping two", ""},
	{"ping three", "pong three"},
	{"ping four", "ping four"},
}

// echo sends echo requests, to which the server's kernel replies.
func (p *path) echo(ctx context.Context) error {
	e := echoOf(p.server.Is6())
	client, err := p.openRaw(ctx, p.network.Client, p.client, p.server, e.reply, p.flow(echoReply))
	if err != nil {
		return err
	}
	if _, err = p.openRaw(ctx, p.network.Server, p.server, netip.Addr{}, e.request,
		p.flow(echoRequest)); err != nil {
		return err
	}
	for i, x := range echoes {
		seq := uint16(i + 1)
		request := e.message(e.request, seq, x.sent, p.client, p.server)
		p.flow(echoRequest).sent = append(p.flow(echoRequest).sent, request)
		if x.want != "" {
			want := replaced(p, x.sent, x.want)
			arriving := e.message(e.request, seq, want, p.client, p.server)
			p.flow(echoRequest).want = append(p.flow(echoRequest).want, arriving)
			reply := e.message(e.reply, seq, want, p.server, p.client)
			p.flow(echoReply).send(reply, reply)
		}
		if _, err := client.Write(request); err != nil {
			return err
		}
	}
	return p.fence()
}

// message makes an echo message.
func (e echoProtocol) message(typ uint8, seq uint16, text string, src, dst netip.Addr) []byte {
	const id = 0x4e51
	b := []byte{typ, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, text...)
	var sum uint64
	if e.protocol == unix.IPPROTO_ICMPV6 {
		sum = ippkt.PseudoIPv6(src.As16(), dst.As16(), ippkt.Protocol(e.protocol), uint32(len(b)))
	}
	binary.BigEndian.PutUint16(b[2:], ^ippkt.Fold(ippkt.Sum(sum, b)))
	return b
}

// openRaw opens a raw ICMP socket. The messages of one type that it gets belong to flow f.
func (p *path) openRaw(
	ctx context.Context,
	h *netlab.Host,
	local, remote netip.Addr,
	typ uint8,
	f *flow,
) (*net.IPConn, error) {
	c, err := open(ctx, p, h, func() (*net.IPConn, error) {
		network := fmt.Sprintf("ip:%d", echoOf(local.Is6()).protocol)
		if !remote.IsValid() {
			return net.ListenIP(network, &net.IPAddr{IP: local.AsSlice()})
		}
		return net.DialIP(network, &net.IPAddr{IP: local.AsSlice()}, &net.IPAddr{IP: remote.AsSlice()})
	})
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("raw sockets need CAP_NET_RAW: %w", err)
	}
	if err != nil {
		return nil, err
	}
	p.inboxes = append(p.inboxes, inbox{conn: c, flow: f, find: func(b []byte) []byte {
		if local.Is4() { // raw IPv4 sockets get the IP header too
			layout, err := ippkt.Parse(b)
			if err != nil {
				return nil
			}
			b = b[layout.TransportHeaderOffset:]
		}
		if len(b) == 0 || b[0] != typ {
			return nil
		}
		return b
	}})
	return c, nil
}
