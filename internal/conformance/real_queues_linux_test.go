// SPDX-License-Identifier: GPL-2.0-or-later

package conformance_test

import (
	"net"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/conformance"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// realKernel is the loopback interface of a network namespace. Rules behind the queueing hook count
// the packets that pass: the system call that sends a verdict returns after its packet has passed
// them.
type realKernel struct {
	*testing.T
	host           *netlab.Host
	from, to       *net.UDPConn
	passed, marked *netlab.Rule
}

func TestRealQueues(t *testing.T) { conformance.TestQueues(t, newReal) }

func newReal(t *testing.T, rule conformance.Rule) conformance.Kernel {
	k := &realKernel{T: t, host: labtest.Host(t)}
	k.to = k.listen()
	k.from = k.listen()
	port := netlab.DstPort(k.to.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	udp := netlab.L4Proto(unix.IPPROTO_UDP)
	output := labtest.Chain(t, k.host, netlab.IP, netlab.Output, 0)
	labtest.Rule(t, output, netlab.Mark(2), netlab.Accept())
	labtest.Rule(t, output, udp, port, netlab.ToQueue(netlab.Queue{Num: rule.Queue,
		Bypass: rule.Bypass}))
	behind := labtest.Chain(t, k.host, netlab.IP, netlab.Postrouting, 0)
	k.passed = labtest.Rule(t, behind, udp, port, netlab.Counter())
	k.marked = labtest.Rule(t, behind, udp, port, netlab.Mark(1), netlab.Counter())
	return k
}

func (k *realKernel) listen() *net.UDPConn {
	c, err := netlab.In(k.host, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	})
	labtest.Must(k, err)
	k.Cleanup(func() { c.Close() })
	// The kernel charges waiting packets to their sender, which blocks if that is too much.
	labtest.Must(k, c.SetWriteBuffer(1<<20))
	labtest.Must(k, c.SetWriteDeadline(time.Now().Add(time.Minute)))
	return c
}

func (k *realKernel) Open(cfg nfqueue.Config) (*nfqueue.Queue, error) {
	cfg.NetNS = k.host.FD()
	return nfqueue.Open(cfg)
}

func (k *realKernel) Dial() conformance.Socket {
	s := &realSocket{t: k.T}
	labtest.Must(k, k.host.Do(s.dial))
	return s
}

func (k *realKernel) Send(text string) {
	if _, err := k.from.WriteTo([]byte(text), k.to.LocalAddr()); err != nil {
		k.Fatal(err)
	}
}

func (k *realKernel) Receive() string {
	k.Helper()
	b := make([]byte, 1<<16)
	labtest.Must(k, k.to.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := k.to.Read(b)
	if err != nil {
		k.Fatal(err)
	}
	return string(b[:n])
}

func (k *realKernel) NeedReplace() { labtest.NeedReplace(k) }

func (k *realKernel) Passed() int { return k.count(k.passed) }
func (k *realKernel) Marked() int { return k.count(k.marked) }

func (k *realKernel) count(r *netlab.Rule) int {
	n, _, err := r.Count()
	labtest.Must(k, err)
	return int(n)
}

// Flush removes an unrelated chain: the kernel then drops all waiting packets.
func (k *realKernel) Flush() {
	labtest.Must(k, labtest.Chain(k, k.host, netlab.IP, netlab.Input, 0).Delete())
}
