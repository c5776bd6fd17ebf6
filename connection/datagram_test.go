// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// The packets of UDP between two ends are a conversation, and keep their borders.
func TestConversation(t *testing.T) {
	for name, e := range families {
		if e.options {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var seen []string
			l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
				seen = nil
				for d := range c.Datagrams(connection.Original) {
					seen = append(seen, string(d))
				}
				for d := range c.Datagrams(connection.Reply) {
					seen = append(seen, "reply "+string(d))
				}
				return line(c)
			})
			other := e.port(4003).udp("good\n")
			one := l.held(e.udp("go"), other)
			empty := l.held(e.udp(""), other)
			early := l.held(e.reverse().udp("what?"), other)
			l.passes(e.udp("od\n"))
			if !one.Result().Passed || !empty.Result().Passed || !early.Result().Passed {
				t.Error("dropped")
			}
			if want := []string{"go", "", "od\n", "reply what?"}; !slices.Equal(seen, want) {
				t.Errorf("%q, want %q", seen, want)
			}
			l.dropped(e.port(4001).udp("bad\n"))
			l.dropped(e.port(4001).reverse().udp("hello"))
			l.dropped(e.port(4002).udp(strings.Repeat("x", 20000)))
			if s := l.Stats(); s.Opened != 4 || s.Accepted != 2 || s.Dropped != 1 || s.Fallback.Bytes != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A datagram of the server that comes late may open a conversation. What the client says then is of
// the reply direction, and held all the same.
func TestConversationOfServer(t *testing.T) {
	for name, e := range families {
		if e.options {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true}, func(c *connection.Conn) connection.Answer {
				for d := range c.Datagrams(connection.Reply) {
					if string(d) == "bad\n" {
						return connection.Drop
					}
				}
				return connection.More
			})
			l.send(e.reverse().udp("late"))
			half := l.send(e.udp("half"))
			l.dropped(e.udp("bad\n"))
			if half.Result().Passed {
				t.Error("passed")
			}
		})
	}
}

// Echo requests are a conversation of their identifier.
func TestEcho(t *testing.T) {
	for name, e := range families {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{}, func(c *connection.Conn) connection.Answer {
				if c.Flow().ICMPID == 1 && c.Direction() == connection.Original {
					return connection.Accept
				}
				return connection.Drop
			})
			l.passes(nfqueuetest.Echo(e.client.Addr(), e.server.Addr(), 1, 1, nil))
			l.passes(nfqueuetest.Echo(e.server.Addr(), e.client.Addr(), 1, 1, nil))
			l.dropped(nfqueuetest.Echo(e.client.Addr(), e.server.Addr(), 2, 1, nil))
			if s := l.Stats(); s.Opened != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// icmpError makes an error from the server about a packet of the client.
func (e ends) icmpError(about []byte) []byte {
	about = about[:min(len(about), 200)]
	if e.client.Addr().Is4() {
		return nfqueuetest.IP(e.server.Addr(), e.client.Addr(), nfqueue.ICMP,
			append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, about...))
	}
	return nfqueuetest.IP(e.server.Addr(), e.client.Addr(), nfqueue.ICMPv6,
		append([]byte{1, 4, 0, 0, 0, 0, 0, 0}, about...))
}

// An error belongs to the connection that it is about, and gets its answer.
func TestICMPError(t *testing.T) {
	for name, e := range families {
		t.Run(name, func(t *testing.T) {
			errors := 0
			l := newLab(t, connection.Config{}, func(c *connection.Conn) connection.Answer {
				if c.News() == connection.Unreachable && c.Direction() == connection.Reply &&
					c.Flow().SrcPort == e.client.Port() {
					errors++
				}
				return line(c)
			})
			l.open(e)
			l.passes(e.icmpError(e.data(0, "go")))
			l.passes(e.data(0, "good\n"))
			l.passes(e.icmpError(e.data(0, "good\n")))
			bad := e.port(4001)
			l.open(bad)
			l.dropped(bad.data(0, "reject\n"))
			l.dropped(bad.icmpError(bad.data(0, "reject\n")))
			unknown := e.port(4002)
			l.passes(unknown.icmpError(unknown.data(0, "good\n")))
			if s := l.Stats(); errors != 1 || s.Opened != 2 {
				t.Errorf("%d errors, %+v", errors, s)
			}
		})
	}
}

// What belongs to no connection may hide one, unless it is not IP.
func TestOther(t *testing.T) {
	fragment := nfqueuetest.UDP(ends4.client, ends4.server, make([]byte, 16))
	fragment[6] |= 0x20 // more fragments
	later := slices.Clone(fragment)
	later[6], later[7] = 0, 2
	short := ends4.data(0, "")[:30]
	arp := make([]byte, 28)
	for _, c := range []struct {
		name   string
		cfg    connection.Config
		packet nfqueuetest.Spec
		pass   bool
	}{
		{"first fragment", connection.Config{}, nfqueuetest.Spec{Payload: fragment}, false},
		{"later fragment", connection.Config{}, nfqueuetest.Spec{Payload: later}, false},
		{"fragment, Fallback Accept", connection.Config{Fallback: connection.Accept},
			nfqueuetest.Spec{Payload: later}, true},
		{"cut header", connection.Config{}, nfqueuetest.Spec{Payload: short, FullLen: 40}, false},
		{"ARP", connection.Config{}, nfqueuetest.Spec{Payload: arp, Family: nfqueue.FamilyBridge,
			EtherType: 0x0806}, true},
		{"ARP, Other", connection.Config{Other: nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop })},
			nfqueuetest.Spec{Payload: arp, Family: nfqueue.FamilyBridge, EtherType: 0x0806}, false},
	} {
		l := newLab(t, c.cfg, more)
		if r := l.k.Send(0, c.packet).Result(); r.Passed != c.pass {
			t.Errorf("%s: passed %v", c.name, r.Passed)
		}
		if s := l.Stats(); s.Other != 1 || s.Opened != 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// A body that was not copied whole cannot be seen.
func TestCut(t *testing.T) {
	l := newLab(t, connection.Config{Hold: true}, line)
	for i, c := range []struct {
		body string
		pass bool
	}{{"good\n", true}, {"goo", false}} {
		e := ends4.port(4000 + i)
		l.open(e)
		p := e.data(0, c.body)
		whole := nfqueuetest.TCP(e.client, e.server,
			nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: isn + 1, Ack: peerISN + 1}, make([]byte, 100))
		copy(p[:20], whole[:20]) // the length
		if r := l.k.Send(0, nfqueuetest.Spec{Payload: p, FullLen: 140}).Result(); r.Passed != c.pass {
			t.Errorf("%q: passed %v", c.body, r.Passed)
		}
	}
}
