// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/exampletb"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// inMemory makes a kernel in memory, whose Open is that of this package, so that the
// examples run everywhere. end ends what the example has left.
func inMemory() (k *nfqueuetest.Kernel, end func()) {
	t := new(exampletb.T)
	return nfqueuetest.NewKernel(t), t.End
}

// datagram describes a UDP packet from a port of one host to another host.
func datagram(port uint16, body string) nfqueuetest.Spec {
	src, dst := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("198.51.100.1:53")
	return nfqueuetest.Spec{Payload: nfqueuetest.UDP(netip.AddrPortFrom(src, port), dst, []byte(body))}
}
