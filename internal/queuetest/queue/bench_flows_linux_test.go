// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// busy keeps the processor busy.
func busy(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// BenchmarkFlows drains a queue that was filled before, with datagrams of many flows
// that are dropped: with the handlers of ServeFlows on n goroutines, Serve for 1.
func BenchmarkFlows(b *testing.B) {
	for _, work := range []time.Duration{0, 2 * time.Microsecond, 20 * time.Microsecond} {
		for _, n := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("work=%v/workers=%d", work, n), func(b *testing.B) {
				h := labtest.Host(b)
				queueUDPAll(b, labtest.Chain(b, h, netlab.IP, netlab.Output, 0), netlab.Queue{})
				fill := newFiller(b, h)
				var used time.Duration
				b.ResetTimer()
				for left := b.N; left > 0; {
					round := min(left, maxFill)
					left -= round
					b.StopTimer()
					q := queuelab.Open(b, h, nfqueue.Config{MaxLen: maxFill, CopyRange: 128})
					fill(round)
					before := processorTime(b)
					b.StartTimer()
					ctx, cancel := context.WithCancel(context.Background())
					cancel() // what waits is all there is
					if err := q.ServeFlows(ctx, n, queuelab.Alike(func(int, *nfqueue.Packet) nfqueue.Verdict {
						busy(work)
						return nfqueue.Drop
					})); err != nil {
						b.Fatal(err)
					}
					used += processorTime(b) - before
					if got := q.Stats().Received; got != uint64(round) {
						b.Fatalf("%d packets were handled, want %d", got, round)
					}
				}
				b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// processorTime returns how long the process has been running, on all processors.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	labtest.Must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxFill is the largest number of waiting packets.
const maxFill = 30000

// newFiller returns a function that sends n datagrams on a thousand flows.
func newFiller(b *testing.B, h *netlab.Host) func(n int) {
	b.Helper()
	c := queuelab.ListenUDP(b, h, netip.AddrPortFrom(queuelab.Localhost, queuelab.Port))
	raw, err := c.SyscallConn()
	labtest.Must(b, err)
	// The kernel charges waiting packets to the socket that sent them.
	labtest.Must(b, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<29)
	}))
	if err == syscall.EPERM {
		b.Skip("the benchmark needs CAP_NET_ADMIN in the initial user namespace")
	}
	labtest.Must(b, err)
	data := make([]byte, 36)
	return func(n int) {
		for i := range n {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, byte(i >> 8 & 3), byte(i)}),
				queuelab.Port+1)
			if _, err := c.WriteToUDPAddrPort(data, to); err != nil {
				b.Fatal(err)
			}
		}
	}
}
