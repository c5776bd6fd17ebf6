// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// wire is an interface of a host, as a packet socket sees it.
type wire struct {
	*pcapgo.EthernetHandle
	t     *testing.T
	fd    int
	index int
	mac   net.HardwareAddr
}

func newWire(t *testing.T, h *netlab.Host) *wire {
	t.Helper()
	w := &wire{t: t, fd: -1}
	labtest.Must(t, h.Do(func() error {
		i, err := net.InterfaceByName(netlab.Eth)
		if err != nil {
			return err
		}
		w.index, w.mac = i.Index, i.HardwareAddr
		if w.EthernetHandle, err = pcapgo.NewEthernetHandle(netlab.Eth); err != nil {
			return err
		}
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // receives nothing
		return err
	}))
	t.Cleanup(func() {
		w.Close()
		unix.Close(w.fd)
	})
	return w
}

func (w *wire) send(frame []byte) {
	w.t.Helper()
	labtest.Must(w.t, unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index}))
}

// receive returns the next frame with a VLAN tag that another host has sent, and gives
// it the tag back that the kernel has taken out.
func (w *wire) receive() (frame []byte, at time.Time) {
	w.t.Helper()
	for {
		b, info, err := w.ReadPacketData()
		labtest.Must(w.t, err)
		if len(info.AncillaryData) == 1 && net.HardwareAddr(b[6:12]).String() != w.mac.String() {
			frame = append(frame, b[:12]...)
			frame = binary.BigEndian.AppendUint16(frame, uint16(layers.EthernetTypeDot1Q))
			frame = binary.BigEndian.AppendUint16(frame, uint16(info.AncillaryData[0].(int)))
			return append(frame, b[12:]...), info.Timestamp
		}
	}
}

// TestVLAN sends a DNS query and its answer through a bridge, with a VLAN tag, and
// queues them there.
func TestVLAN(t *testing.T) {
	const id = 100
	n := labtest.Bridged(t)
	labtest.Must(t, n.Middle.FilterBridged())
	labtest.Must(t, n.Middle.SetSysctl("bridge/bridge-nf-filter-vlan-tagged", "1"))
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6} {
		labtest.Rule(t, labtest.Chain(t, n.Middle, family, netlab.Forward, 0), netlab.L4Proto(17),
			netlab.ToQueue(netlab.Queue{}))
	}
	q, err := nfqueue.Open(nfqueue.Config{NetNS: n.Middle.FD()})
	labtest.Must(t, err)
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	}()
	f := create(t, "vlan", layers.LinkTypeEthernet)
	client, server := newWire(t, n.Client), newWire(t, n.Server)
	for _, c := range []struct {
		client, server netip.Addr
		typ            layers.EthernetType
		question       nfqueuetest.DNSType
		answer         string
	}{
		{n.Client4, n.Server4, layers.EthernetTypeIPv4, nfqueuetest.DNSTypeA, "203.0.113.80"},
		{n.Client6, n.Server6, layers.EthernetTypeIPv6, nfqueuetest.DNSTypeAAAA, "2001:db8:80::1"},
	} {
		query := nfqueuetest.DNSQuery(netip.AddrPortFrom(c.client, 40000),
			netip.AddrPortFrom(c.server, 53), 1, "www.example.org", c.question)
		tagged := func(from, to *wire, packet []byte) []byte {
			frame := append(append([]byte(nil), to.mac...), from.mac...)
			for _, v := range []uint16{uint16(layers.EthernetTypeDot1Q), id, uint16(c.typ)} {
				frame = binary.BigEndian.AppendUint16(frame, v)
			}
			return append(frame, packet...)
		}
		client.send(tagged(client, server, query))
		frame, at := server.receive()
		f.add(at, netlab.Eth, frame)
		server.send(tagged(server, client, nfqueuetest.DNSResponse(frame[18:],
			netip.MustParseAddr(c.answer))))
		frame, at = client.receive()
		f.add(at, netlab.Eth, frame)
	}
	f.close()
	ctx := Soon(t)
	labtest.Must(t, q.Shutdown(ctx))
	labtest.Must(t, <-served)
	if got := q.Stats().Accepted; got != 4 {
		t.Errorf("%d packets came through the queue, want 4", got)
	}
}
