// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// Connections to port 23 are not made, others are.
func TestDecode(t *testing.T) {
	n := labtest.Pair(t)
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6} {
		labtest.Rule(t, labtest.Chain(t, n.Client, family, netlab.Output, 0), netlab.L4Proto(6),
			netlab.ToQueue(netlab.Queue{}))
	}
	connect := func(to netip.AddrPort, limit time.Duration) error {
		l, err := netlab.In(n.Server, func() (net.Listener, error) { return net.Listen("tcp", to.String()) })
		labtest.Must(t, err)
		defer l.Close()
		return n.Client.Do(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			c, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	p := labtest.Start(t, n.Client, 1)
	for _, server := range []netip.Addr{n.Server4, n.Server6} {
		labtest.Must(t, connect(netip.AddrPortFrom(server, 22), 20*time.Second))
		if connect(netip.AddrPortFrom(server, 23), 200*time.Millisecond) == nil {
			t.Errorf("%v port 23 can be reached", server)
		}
	}
	p.Terminate(t, "to 23, flags SYN=true")
}

// What cannot be decoded is dropped.
func TestDecodeGarbage(t *testing.T) {
	r := nfqueuetest.Do(t, nfqueue.Config{}, newDecoder(),
		nfqueuetest.Spec{Payload: make([]byte, 20), Family: nfqueue.FamilyIPv4, EtherType: 0x0800})
	if r.Verdict != nfqueue.Drop {
		t.Error(r.Verdict)
	}
}
