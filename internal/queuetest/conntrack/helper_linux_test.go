// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package conntrack_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

func listenTCP(t *testing.T, h *netlab.Host, at netip.AddrPort) *net.TCPListener {
	t.Helper()
	l, err := netlab.In(h, func() (*net.TCPListener, error) { return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	labtest.Must(t, l.SetDeadline(time.Now().Add(queuelab.Patience)))
	return l
}

// dialTCP connects from a host.
func dialTCP(t *testing.T, h *netlab.Host, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := netlab.In(h, func() (net.Conn, error) { return net.DialTimeout("tcp", to.String(), queuelab.Patience) })
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	labtest.Must(t, c.SetDeadline(time.Now().Add(queuelab.Patience)))
	return c
}

// connect makes a connection from the client to a port of the server.
func (lab trackLab) connect(t *testing.T, port uint16, l *net.TCPListener) (client,
	server net.Conn) {
	t.Helper()
	client = dialTCP(t, lab.Client, netip.AddrPortFrom(lab.Server4, port))
	server, err := l.Accept()
	labtest.Must(t, err)
	t.Cleanup(func() { server.Close() })
	labtest.Must(t, server.SetDeadline(time.Now().Add(queuelab.Patience)))
	return client, server
}

// tell sends text over a connection and checks that it arrives.
func tell(t *testing.T, from, to net.Conn, text, want string) {
	t.Helper()
	_, err := io.WriteString(from, text)
	labtest.Must(t, err)
	b := make([]byte, len(want))
	if _, err := io.ReadFull(to, b); err != nil || string(b) != want {
		t.Fatalf("received %q, %v; want %q", b, err, want)
	}
}

// tcpText returns what a TCP segment over IPv4 carries.
func tcpText(p *nfqueue.Packet) string {
	b := p.Payload()
	at := int(b[0]&0xf) * 4
	return string(b[at+int(b[at+12]>>4)*4:])
}

// with returns the next packet that carries text, and its entry.
func (lab trackLab) with(t *testing.T, text string) conntrack.Entry {
	t.Helper()
	for {
		if p := queuelab.WaitFor(t, lab.seen); tcpText(p) == text {
			e, ok := p.Conntrack()
			if !ok {
				t.Fatalf("the packet with %q has no entry", text)
			}
			return e
		}
	}
}

// first returns the state of the next first packet of a connection to a port, and
// its entry.
func (lab trackLab) first(t *testing.T, port uint16) (conntrack.State, conntrack.Entry) {
	t.Helper()
	for {
		p := queuelab.WaitFor(t, lab.seen)
		e, ok := p.Conntrack()
		if !ok {
			t.Fatal("a packet has no entry")
		}
		if info, ok := e.TCP(); ok && info.State == conntrack.TCPSynSent {
			if o, ok := e.Original(); ok && o.DstPort == port {
				state, _ := p.ConnState()
				return state, e
			}
		}
	}
}

func TestExpectation(t *testing.T) {
	lab := newTrackLab(t)
	attachHelper(t, lab.Server, "ftp", tcp, 21, 0)
	expect := conntrack.Expectation{
		Protocol: tcp, Src: lab.Client4, Dst: lab.Server4, DstPort: 5000, Helper: "ftp",
	}
	lab.queue(t, func(p *nfqueue.Packet) {
		if p.ID() == 1 {
			must(t, p.SetConnMark(3, 3))
		}
		if tcpText(p) == "expect" {
			must(t, p.SetExpect(expect))
		}
	}, netlab.L4Proto(tcp))

	client, server := lab.connect(t, 21, listenTCP(t, lab.Server, netip.AddrPortFrom(lab.Server4, 21)))
	_, e := lab.first(t, 21)
	if string(e.Helper()) != "ftp" || e.HelperInfo() != nil {
		t.Errorf("helper %q with %x", e.Helper(), e.HelperInfo())
	}
	wantStatus(t, e, "with a helper", conntrack.StatusHelper, conntrack.StatusExpected)
	master, _ := e.Original()

	tell(t, client, server, "expect", "expect")
	l := listenTCP(t, lab.Server, netip.AddrPortFrom(lab.Server4, 5000))
	lab.connect(t, 5000, l)
	state, e := lab.first(t, 5000)
	if state != conntrack.StateRelated {
		t.Errorf("the expected connection is %v", state)
	}
	wantStatus(t, e, "expected", conntrack.StatusExpected, 0)
	if got, ok := e.Master(); !ok || got != master {
		t.Errorf("master %v, %v; want %v", got, ok, master)
	}
	if string(e.Helper()) != "ftp" || e.Mark() != 3 {
		t.Errorf("the expected connection has helper %q and mark %d; want ftp and that of its master",
			e.Helper(), e.Mark())
	}

	lab.connect(t, 5000, l)
	if state, _ := lab.first(t, 5000); state != conntrack.StateNew {
		t.Errorf("another connection to the expected port is %v", state)
	}
}

// TestAdjustSequenceVerdict: a connection goes on after a segment has grown, and
// both ends see no gap.
func TestAdjustSequenceVerdict(t *testing.T) {
	labtest.NeedReplace(t)
	lab := newTrackLab(t)
	attachHelper(t, lab.Server, "ftp", tcp, 21, 2121)
	lab.queue(t, func(p *nfqueue.Packet) {
		if tcpText(p) == "hello" {
			must(t, p.SetPayload(append(p.Payload(), ", world"...)))
			must(t, p.AdjustSequence())
		}
	}, netlab.L4Proto(tcp))
	client, server := lab.connect(t, 21, listenTCP(t, lab.Server,
		netip.AddrPortFrom(lab.Server4, 2121)))
	_, e := lab.first(t, 21)
	wantStatus(t, e, "redirected", conntrack.StatusDstNAT, 0)
	if r, ok := e.Reply(); !ok || r.SrcPort != 2121 {
		t.Errorf("reply %v, %v", r, ok)
	}
	if _, _, ok := e.SeqAdj(); ok {
		t.Error("sequence numbers are adjusted before anything changed")
	}
	tell(t, client, server, "hello", "hello, world")
	tell(t, server, client, "well received", "well received")
	tell(t, client, server, "again", "again")
	e = lab.with(t, "again")
	wantStatus(t, e, "after a longer segment", conntrack.StatusSeqAdjust, 0)
	if o, r, ok := e.SeqAdj(); !ok || o.OffsetBefore != 0 || o.OffsetAfter != int32(len(", world")) ||
		r.OffsetAfter != 0 {
		t.Errorf("adjustment %+v, %+v, %v", o, r, ok)
	}
}

// TestUserspaceHelper: a helper in userspace keeps data with the connection.
func TestUserspaceHelper(t *testing.T) {
	if !queuelab.FirstUserNamespace(t) {
		t.Skip("helpers belong to the machine, not to a user namespace")
	}
	const name = "nfqueue-test"
	lab := newTrackLab(t)
	addUserspaceHelper(t, name, queuelab.UDP, 8)
	attachHelper(t, lab.Server, name, queuelab.UDP, queuelab.Port, 0)
	lab.queue(t, func(p *nfqueue.Packet) {
		switch p.ID() {
		case 1:
			must(t, p.SetConnHelperInfo([]byte("eight by")))
		case 2:
			must(t, p.SetConnHelperInfo([]byte("changed.")))
			must(t, p.SetConnMark(4, 4))
		}
	}, netlab.L4Proto(queuelab.UDP))
	for i, e := range lab.udpFlow(t, 4) {
		if want := []string{string(make([]byte, 8)), "eight by", "changed.",
			"changed."}[i]; string(e.HelperInfo()) != want || string(e.Helper()) != name {
			t.Errorf("packet %d has helper %q with %q, want %q", i+1, e.Helper(), e.HelperInfo(), want)
		}
		if want := []uint32{0, 0, 4, 4}[i]; e.Mark() != want {
			t.Errorf("packet %d has mark %d, want %d", i+1, e.Mark(), want)
		}
	}
}
