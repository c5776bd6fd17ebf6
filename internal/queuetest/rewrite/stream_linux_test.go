// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

const tcpProtocol = 6 // IPPROTO_TCP

// cipher changes a stream. It is as long as the longest packet.
var cipher = bytes.Repeat([]byte{0xa5}, 1<<16)

// TestRewriteStream changes every byte of a long TCP stream, in super-packets and in those of an
// Ethernet, and compares what arrives.
func TestRewriteStream(t *testing.T) {
	for _, f := range queuelab.Families {
		for _, c := range []struct {
			way
			flags nfqueue.Flags
			size  int
		}{{overVeth, 0, 100_000_000}, {overVeth, nfqueue.NoGSO, 5_000_000},
			{overLoopback, 0, 5_000_000}} {
			if testing.Short() {
				c.size = min(c.size, 10_000_000)
			}
			t.Run(fmt.Sprintf("%s/%s/%v", f.Name, c.name,
				map[bool]string{false: "GSO", true: "NoGSO"}[c.flags != 0]), func(t *testing.T) {
				n := c.make(t)
				chain := labtest.Chain(t, n.Client, f.Rules, netlab.Output, 0)
				labtest.Rule(t, chain, netlab.L4Proto(tcpProtocol), netlab.DstPort(queuelab.Port),
					netlab.ToQueue(netlab.Queue{Num: 1}))
				longest, changed := 0, 0
				r := rewrite(t, n.Client, nfqueue.Config{Queue: 1, Flags: c.flags},
					func(p *nfqueue.Packet) []byte {
						b := p.Payload()
						data := b[tcpData(b):]
						if len(data) == 0 {
							return nil
						}
						changed += subtle.XORBytes(data, data, cipher)
						longest = max(longest, len(b))
						return b
					})
				stream(t, n, f.Server(n), c.size)
				r.want(t, 1)
				if changed < c.size {
					t.Errorf("%d bytes were changed, %d sent", changed, c.size)
				}
				if c.name == overVeth.name && (c.flags != 0) == (longest > 1500) {
					t.Errorf("the longest packet has %d bytes", longest)
				}
			})
		}
	}
}

// stream sends bytes without a period from client to server, and checks that exactly these arrive,
// changed.
func stream(t *testing.T, n *netlab.Network, server netip.Addr, size int) {
	t.Helper()
	random := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(size)) }
	l := listenStream(t, n, server)
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			c, err := dialStream(n, l.Addr())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{random()},
				make([]byte, 1<<16))
			return err
		}()
	}()
	c := acceptStream(t, l)
	want := random()
	got, expected := make([]byte, 1<<16), make([]byte, 1<<16)
	received := 0
	for {
		k, err := c.Read(got)
		if _, short := io.ReadFull(want, expected[:k]); short != nil {
			t.Fatalf("more than the %d bytes sent arrived", size)
		}
		subtle.XORBytes(expected, expected[:k], cipher)
		if !bytes.Equal(got[:k], expected[:k]) {
			t.Fatalf("what arrived differs between bytes %d and %d", received, received+k)
		}
		received += k
		if errors.Is(err, io.EOF) {
			break
		}
		labtest.Must(t, err)
	}
	labtest.Must(t, queuelab.WaitFor(t, sent))
	if received != size {
		t.Fatalf("%d bytes arrived, want %d", received, size)
	}
}

// resize changes the length of the client's first data, and keeps the sequence numbers of both
// directions consistent from there on.
type resize struct {
	by    int    // bytes to add, or to take away from the end
	begun bool   // the segment was seen
	first uint32 // its sequence number
	end   uint32 // and that behind it, as the client counts
}

// fromClient changes the first segment, and shifts later ones. If the first segment is
// retransmitted it is changed again.
func (r *resize) fromClient(b []byte) []byte {
	at := tcpData(b)
	data, seq := len(b)-at, binary.BigEndian.Uint32(tcpHeader(b)[4:])
	switch {
	case !r.begun && data == 0:
		return nil
	case !r.begun:
		r.begun, r.first, r.end = true, seq, seq+uint32(data)
	}
	if seq == r.first && data > 0 {
		if r.by < 0 {
			return b[:len(b)+r.by]
		}
		return append(b, strings.Repeat("+", r.by)...)
	}
	if int32(seq-r.end) < 0 {
		return nil
	}
	binary.BigEndian.PutUint32(tcpHeader(b)[4:], seq+uint32(r.by))
	return b
}

// fromServer takes the change out of the acknowledgement.
func (r *resize) fromServer(b []byte) []byte {
	ack := tcpHeader(b)[8:12]
	n := binary.BigEndian.Uint32(ack)
	if !r.begun || int32(n-r.first) <= 0 {
		return nil
	}
	binary.BigEndian.PutUint32(ack, n-uint32(r.by))
	return b
}

// tcpHeader returns a segment from its TCP header on.
func tcpHeader(b []byte) []byte {
	if b[0]>>4 == 6 {
		return b[40:]
	}
	return b[int(b[0]&0xf)*4:]
}

// TestRewriteStreamLength makes a TCP connection carry more, or less, than was sent.
func TestRewriteStreamLength(t *testing.T) {
	for _, by := range []int{100, -100} {
		t.Run(fmt.Sprintf("%+d", by), func(t *testing.T) {
			everyWay(t, func(t *testing.T, n *netlab.Network, rules netlab.Family, server netip.Addr,
				cfg nfqueue.Config) {
				// Without GSO a segment must have room for what is added.
				begin := strings.Repeat("begin", 2000)
				if cfg.Flags&nfqueue.NoGSO != 0 {
					begin = strings.Repeat("begin", 100)
				}
				toServer := labtest.Chain(t, n.Client, rules, netlab.Output, 0)
				labtest.Rule(t, toServer, netlab.L4Proto(tcpProtocol), netlab.DstPort(queuelab.Port),
					netlab.ToQueue(netlab.Queue{Num: 1}))
				toClient := labtest.Chain(t, n.Client, rules, netlab.Input, 0)
				labtest.Rule(t, toClient, netlab.L4Proto(tcpProtocol), netlab.SrcPort(queuelab.Port),
					netlab.ToQueue(netlab.Queue{Num: 1}))
				r := &resize{by: by}
				q := rewrite(t, n.Client, cfg, func(p *nfqueue.Packet) []byte {
					if p.Hook() == nfqueue.HookOutput {
						return r.fromClient(p.Payload())
					}
					return r.fromServer(p.Payload())
				})
				l := listenStream(t, n, server)
				answer := make(chan error, 1)
				go func() {
					answer <- func() error {
						c, err := dialStream(n, l.Addr())
						if err != nil {
							return err
						}
						defer c.Close()
						for _, s := range []string{begin, strings.Repeat("then more", 10_000)} {
							if _, err := c.Write([]byte(s)); err != nil {
								return err
							}
						}
						if err := c.CloseWrite(); err != nil {
							return err
						}
						b, err := io.ReadAll(c)
						if err == nil && string(b) != "thanks" {
							err = fmt.Errorf("the client received %.80q", b)
						}
						return err
					}()
				}()
				c := acceptStream(t, l)
				got, err := io.ReadAll(c)
				labtest.Must(t, err)
				_, err = c.Write([]byte("thanks"))
				labtest.Must(t, err)
				labtest.Must(t, c.Close())
				labtest.Must(t, queuelab.WaitFor(t, answer))
				// The end of the first segment is where the change is.
				k := int(r.end - r.first)
				all := begin + strings.Repeat("then more", 10_000)
				want := all[:k] + strings.Repeat("+", max(by, 0)) + all[k:]
				if by < 0 {
					want = all[:k+by] + all[k:]
				}
				if string(got) != want {
					t.Errorf("%d bytes arrived that differ from the %d wanted", len(got), len(want))
				}
				q.want(t, 2)
			})
		})
	}
}

func listenStream(t *testing.T, n *netlab.Network, server netip.Addr) *net.TCPListener {
	t.Helper()
	l, err := netlab.In(n.Server, func() (*net.TCPListener, error) {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(server, queuelab.Port)))
	})
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	labtest.Must(t, l.SetDeadline(time.Now().Add(queuelab.Patience)))
	return l
}

// dialStream connects from the client. It may be called from any goroutine.
func dialStream(n *netlab.Network, to net.Addr) (*net.TCPConn, error) {
	c, err := netlab.In(n.Client, func() (net.Conn, error) { return net.DialTimeout("tcp", to.String(), queuelab.Patience) })
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(2 * queuelab.Patience))
}

func acceptStream(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	c, err := l.AcceptTCP()
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	labtest.Must(t, c.SetDeadline(time.Now().Add(2*queuelab.Patience)))
	return c
}
