// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestTransportBehindExtensionHeaders: Transport finds UDP behind an IPv6 extension header where the
// kernel does, and only there.
func TestTransportBehindExtensionHeaders(t *testing.T) {
	const destinationOptions, mobility, hip, shim6 = 60, 135, 139, 140
	n := labtest.Pair(t)
	chain := labtest.Chain(t, n.Client, netlab.IP6, netlab.Output, 0)
	udp := labtest.Rule(t, chain, netlab.L4Proto(queuelab.UDP), netlab.Counter())
	labtest.Rule(t, chain, netlab.ToQueue(netlab.Queue{Num: 1}))
	found := make(chan nfqueue.Transport, 1)
	queuelab.Serve(t, n.Client, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		transport, ok := p.Transport()
		if !ok {
			t.Errorf("no transport header: %+v", transport)
		}
		if f, _ := p.Flow(); f.Protocol != transport.Protocol {
			t.Errorf("protocol %v of the flow, %v of the header", f.Protocol, transport.Protocol)
		}
		transport.Body = []byte(string(transport.Body))
		found <- transport
		return nfqueue.Drop
	})
	// A header of 8 bytes, and the datagram "hi".
	message := []byte{queuelab.UDP, 0, 1, 4, 0, 0, 0, 0, 0x30, 0x39, 0x0f, 0xa0, 0, 10, 0, 0, 'h', 'i'}
	var before uint64
	for _, next := range []int{destinationOptions, mobility, hip, shim6} {
		c, err := netlab.In(n.Client, func() (net.PacketConn, error) {
			return net.ListenPacket(fmt.Sprintf("ip6:%d", next), n.Client6.String())
		})
		labtest.Must(t, err)
		_, err = c.WriteTo(message, &net.IPAddr{IP: n.Server6.AsSlice()})
		labtest.Must(t, err)
		labtest.Must(t, c.Close())
		transport := queuelab.WaitFor(t, found)
		packets, _, err := udp.Count()
		labtest.Must(t, err)
		kernel := packets > before
		before = packets
		if ours := transport.Protocol == nfqueue.UDP; ours != kernel {
			t.Errorf("next header %d: UDP for the kernel: %v, for Transport: %v", next, kernel, ours)
		}
		if kernel && (string(transport.Body) != "hi" ||
			binary.BigEndian.Uint16(transport.Header) != 12345) {
			t.Errorf("next header %d: header %x, body %q", next, transport.Header, transport.Body)
		}
	}
	if before != 1 {
		t.Errorf("the kernel found UDP in %d packets, want it behind destination options only", before)
	}
}
