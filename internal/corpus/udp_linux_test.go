// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// TestDNS asks for addresses over UDP, and for a text that is too long for that: the
// answer is truncated, and the resolver asks again over TCP.
func TestDNS(t *testing.T) {
	n, _ := Record(t, "dns")
	long := strings.Repeat("a long text ", 20)
	Each(n, func(_, server netip.Addr) {
		at := netip.AddrPortFrom(server, 53)
		datagrams, l := OpenUDP(t, n.Server, at), Listen(t, n.Server, at)
		go func() {
			b := make([]byte, 4096)
			for {
				size, from, err := datagrams.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				_, _ = datagrams.WriteToUDPAddrPort(answer(t, b[:size], long, true), from)
			}
		}()
		streamed := accept(l, func(c net.Conn) error {
			for {
				size := make([]byte, 2)
				if _, err := io.ReadFull(c, size); err != nil {
					return nil // as the client likes
				}
				query := make([]byte, binary.BigEndian.Uint16(size))
				if _, err := io.ReadFull(c, query); err != nil {
					return err
				}
				b := answer(t, query, long, false)
				if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))),
					b...)); err != nil {
					return err
				}
			}
		})
		r := &net.Resolver{PreferGo: true, StrictErrors: true,
			Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
				if strings.HasPrefix(network, "tcp") {
					return Dial(n.Client, at)
				}
				return DialUDP(n.Client, at)
			}}
		addrs, err := r.LookupNetIP(Soon(t), "ip", "www.example.org.")
		slices.SortFunc(addrs, netip.Addr.Compare)
		if err != nil || len(addrs) != 2 || addrs[0].Unmap() != netip.MustParseAddr("203.0.113.80") ||
			addrs[1] != netip.MustParseAddr("2001:db8:80::1") {
			t.Errorf("%v, %v", addrs, err)
		}
		if _, err := r.LookupNetIP(Soon(t), "ip4", "nowhere.example.org."); err == nil {
			t.Error("nowhere.example.org has an address")
		}
		texts, err := r.LookupTXT(Soon(t), "long.example.org.")
		if err != nil || len(texts) != 4 || texts[3] != long {
			t.Errorf("%q, %v", texts, err)
		}
		labtest.Must(t, <-streamed)
	})
}

// answer answers a query. Over UDP it truncates what is long.
func answer(t *testing.T, query []byte, long string, udp bool) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		t.Error(err)
		return nil
	}
	q, err := p.Question()
	if err != nil {
		t.Error(err)
		return nil
	}
	h.Response, h.Authoritative = true, true
	m := dnsmessage.Message{Header: h, Questions: []dnsmessage.Question{q}}
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name,
			Class: q.Class, TTL: 300}, Body: body})
	}
	switch name := q.Name.String(); {
	case name == "www.example.org." && q.Type == dnsmessage.TypeA:
		add(&dnsmessage.AResource{A: [4]byte{203, 0, 113, 80}})
	case name == "www.example.org." && q.Type == dnsmessage.TypeAAAA:
		add(&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8:80::1").As16()})
	case name == "long.example.org." && udp:
		m.Truncated = true
	case name == "long.example.org.":
		for range 4 {
			add(&dnsmessage.TXTResource{TXT: []string{long}})
		}
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

// TestFragments sends datagrams that are too large for the links, there and back.
func TestFragments(t *testing.T) {
	n, r := Record(t, "fragments")
	data := bytes.Repeat([]byte("All of this is text. "), 150) // three fragments
	Each(n, func(client, server netip.Addr) {
		to := netip.AddrPortFrom(server, 7)
		s, c := OpenUDP(t, n.Server, to), MustDialUDP(t, n.Client, to)
		_, err := c.Write(data)
		labtest.Must(t, err)
		b := make([]byte, 1<<16)
		size, from, err := s.ReadFromUDPAddrPort(b)
		labtest.Must(t, err)
		_, err = s.WriteToUDPAddrPort(b[:size], from)
		labtest.Must(t, err)
		if size, err = c.Read(b); err != nil || !bytes.Equal(b[:size], data) {
			t.Errorf("%d bytes, %v", size, err)
		}
		r.Await(6, func(f nfqueue.Flow) bool { return f.Fragment && f.Src.Is4() == client.Is4() })
	})
}

// TestICMPErrors has the server and the router answer with errors: nobody listens, the
// packet is too big for the next link, and it has been on its way too long.
func TestICMPErrors(t *testing.T) {
	n, r := Record(t, "icmp-errors")
	labtest.Must(t, n.Middle.SetMTU("server0", 1280))
	Each(n, func(client, server netip.Addr) {
		unreachable, tooBig, exceeded := uint8(3), uint8(3), uint8(11)
		portCode, bigCode := uint8(3), uint8(4)
		if client.Is6() {
			unreachable, tooBig, exceeded = 1, 2, 3
			portCode, bigCode = 4, 0
		}
		await := func(typ, code uint8) {
			t.Helper()
			r.Await(1, func(f nfqueue.Flow) bool { return f.Dst == client && f.ICMPType == typ && f.ICMPCode == code })
		}
		c := MustDialUDP(t, n.Client, netip.AddrPortFrom(server, 9))
		_, err := c.Write([]byte("is anybody there?"))
		labtest.Must(t, err)
		await(unreachable, portCode)

		OpenUDP(t, n.Server, netip.AddrPortFrom(server, 7))
		c = MustDialUDP(t, n.Client, netip.AddrPortFrom(server, 7))
		_, err = c.Write(make([]byte, 1400))
		labtest.Must(t, err)
		await(tooBig, bigCode)

		c = MustDialUDP(t, n.Client, netip.AddrPortFrom(server, 7)) // the last one has an error pending
		raw, err := c.SyscallConn()
		labtest.Must(t, err)
		labtest.Must(t, raw.Control(func(fd uintptr) {
			if client.Is4() {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 1)
			}
		}))
		labtest.Must(t, err)
		_, err = c.Write([]byte("not far"))
		labtest.Must(t, err)
		await(exceeded, 0)
	})
}
