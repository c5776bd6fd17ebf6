// SPDX-License-Identifier: GPL-2.0-or-later

package owner_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/owner"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// found is what a handler has found for a packet.
type found struct {
	flow  nfqueue.Flow
	owner owner.Owner
	err   error
}

// TestFind has packets of this process judged by a handler that asks who sends them.
func TestFind(t *testing.T) {
	h := labtest.Host(t)
	seen := make(chan found, 100)
	finder := &owner.Finder{NetNS: h.FD()}
	serve(t, h, "out", func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := p.Flow()
		uid, ok := p.UID()
		if !ok {
			uid = owner.AnyUser
		}
		o, err := finder.Find(flow, uid)
		seen <- found{flow, o, err}
		return nfqueue.Accept
	})
	comm, err := os.ReadFile("/proc/self/comm")
	labtest.Must(t, err)
	for _, test := range []struct{ network, listen string }{
		{"udp4", "127.0.0.1:4000"}, {"udp6", "[::1]:4001"}, {"tcp4", "127.0.0.1:4002"},
		{"tcp6", "[::1]:4003"},
		{"tcp", ":4004"}, {"udp", ":4005"}, // sockets of IPv6 that take IPv4, too
	} {
		t.Run(test.network, func(t *testing.T) {
			_, err := netlab.In(h, func() (none struct{}, err error) { return none, exchange(t, test.network, test.listen) })
			labtest.Must(t, err)
			port := netip.MustParseAddrPort("0.0.0.0" +
				test.listen[strings.LastIndex(test.listen, ":"):]).Port()
			for n := 0; ; {
				select {
				case f := <-seen:
					if f.flow.SrcPort != port && f.flow.DstPort != port {
						continue // the end of a connection before
					}
					n++
					// The last packets of a connection have no process any more.
					if errors.Is(f.err, owner.ErrNotFound) && f.flow.Protocol == 6 && n > 3 {
						continue
					}
					if f.err != nil || len(f.owner.Processes) != 1 || f.owner.Processes[0].PID != os.Getpid() ||
						f.owner.Processes[0].Name != strings.TrimSpace(string(comm)) ||
						f.owner.UID != uint32(os.Getuid()) {
						t.Errorf("packet %d, %v: %+v, %v", n, f.flow, f.owner, f.err)
					}
				default:
					if n == 0 {
						t.Error("no packet was seen")
					}
					return
				}
			}
		})
	}
}

// dial returns what net.Dial needs for a listener, in the namespace of the calling thread.
func dial(network, listen string) (dialed, address string) {
	if listen[0] == ':' {
		return network + "4", "127.0.0.1" + listen
	}
	return network, listen
}

// exchange sends something to a listener and back.
func exchange(t *testing.T, network, listen string) error {
	if network[0] == 'u' {
		server, err := net.ListenPacket(network, listen)
		if err != nil {
			return err
		}
		defer server.Close()
		client, err := net.Dial(dial(network, listen))
		if err != nil {
			return err
		}
		defer client.Close()
		if _, err := client.Write([]byte("x")); err != nil {
			return err
		}
		_, from, err := server.ReadFrom(make([]byte, 10))
		if err != nil {
			return err
		}
		if _, err := server.WriteTo([]byte("y"), from); err != nil {
			return err
		}
		_, err = client.Read(make([]byte, 10))
		return err
	}
	server, err := net.Listen(network, listen)
	if err != nil {
		return err
	}
	defer server.Close()
	client, err := net.Dial(dial(network, listen))
	if err != nil {
		return err
	}
	defer client.Close()
	there, err := server.Accept()
	if err != nil {
		return err
	}
	defer there.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		return err
	}
	_, err = there.Read(make([]byte, 10))
	return err
}

// serve has a handler decide the packets of a rule until the test ends.
func serve(t *testing.T, h *netlab.Host, rule string, handle nfqueue.HandlerFunc) {
	t.Helper()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, NetNS: h.FD(), Flags: nfqueue.UIDGID})
	labtest.Must(t, err)
	set := labtest.Install(t, h, rule+" queue 7")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- q.Serve(ctx, handle) }()
	t.Cleanup(func() {
		labtest.Must(t, set.Stop())
		cancel()
		labtest.Must(t, errors.Join(<-served, q.Close()))
	})
}

// TestFindOther asks for packets that have no socket here, or that of another user.
func TestFindOther(t *testing.T) {
	h := labtest.Host(t)
	c, err := netlab.In(h, func() (*net.UDPConn, error) {
		c, err := net.Dial("udp4", "127.0.0.1:9")
		if err != nil {
			return nil, err
		}
		return c.(*net.UDPConn), nil
	})
	labtest.Must(t, err)
	defer c.Close()
	local, remote := c.LocalAddr().(*net.UDPAddr).AddrPort(), c.RemoteAddr().(*net.UDPAddr).AddrPort()
	flow := nfqueue.Flow{Protocol: 17, Src: local.Addr().Unmap(), SrcPort: local.Port(),
		Dst: remote.Addr().Unmap(), DstPort: remote.Port()}
	finder := owner.Finder{NetNS: h.FD()}
	for _, one := range []nfqueue.Flow{flow, flow.Reverse()} {
		o, err := finder.Find(one, owner.AnyUser)
		if err != nil || len(o.Processes) != 1 || o.Processes[0].PID != os.Getpid() {
			t.Errorf("%v: %+v, %v", one, o, err)
		}
	}
	if _, err := finder.Find(flow, 12345); !errors.Is(err, owner.ErrNotFound) {
		t.Errorf("another user: %v", err)
	}
	// A child has the socket, too.
	file, err := c.File()
	labtest.Must(t, err)
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{file}
	stdin, err := child.StdinPipe()
	labtest.Must(t, err)
	labtest.Must(t, child.Start())
	fresh := owner.Finder{NetNS: h.FD()}
	o, err := fresh.Find(flow, owner.AnyUser)
	if err != nil || len(o.Processes) != 2 {
		t.Errorf("with a child: %+v, %v", o, err)
	}
	labtest.Must(t, errors.Join(stdin.Close(), child.Wait(), file.Close()))
	flow.SrcPort++
	flow.DstPort++
	if _, err := finder.Find(flow, owner.AnyUser); !errors.Is(err, owner.ErrNotFound) {
		t.Errorf("no socket: %v", err)
	}
	flow.Protocol = 1
	if _, err := finder.Find(flow, owner.AnyUser); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ICMP: %v", err)
	}
}
