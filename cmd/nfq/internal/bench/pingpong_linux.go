// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

const pingSize = 64

// pingPong sends one datagram there and back, again and again, from one thread: no other has to be
// woken but the consumer's.
type pingPong struct {
	client, server int   // sockets
	cpus           []int // to run on, all if there are none
	pause          time.Duration
}

// The ports of the clients and servers whose datagrams go to queue 0. Those of the next ones go to
// queue 1, and so on.
const (
	pingClientPort = 9100
	pingServerPort = 9200
)

// pingRules queue the datagrams of n pairs.
func pingRules(n int) (queued []rules.Rule) {
	for i := range n {
		rule := rules.Rule{Hook: nfqueue.HookInput, Protocol: rules.UDP, Queue: uint16(i)}
		rule.DstPort = rules.Ports{{First: pingServerPort + uint16(i)}}
		back := rule
		back.Hook = nfqueue.HookOutput
		back.DstPort = rules.Ports{{First: pingClientPort + uint16(i)}}
		queued = append(queued, rule, back)
	}
	return queued
}

// newPingPong makes the sockets of pair i, which are closed by c.
func newPingPong(c *closers, n *netlab.Network, i int) (*pingPong, error) {
	p := &pingPong{}
	client := netip.AddrPortFrom(n.Client4, pingClientPort+uint16(i))
	server := netip.AddrPortFrom(n.Server4, pingServerPort+uint16(i))
	var err error
	if p.client, err = pingSocket(n.Client, client, server); err != nil {
		return nil, err
	}
	c.add(func() error { return unix.Close(p.client) })
	if p.server, err = pingSocket(n.Server, server, client); err != nil {
		return nil, err
	}
	c.add(func() error { return unix.Close(p.server) })
	return p, nil
}

// roundTrips measures round trips as long as more says so, in nanoseconds. Those that are not
// completed count as lost.
func (p *pingPong) roundTrips(
	more func(completed int64) bool,
) (times *hdrhistogram.Histogram, lost int, err error) {
	times = hdrhistogram.New(1, int64(10*time.Second), 3)
	ping := make([]byte, pingSize-udpHeaders)
	pause := unix.NsecToTimespec(int64(p.pause))
	err = consumer.OnCPUs(p.cpus, func() error {
		for number := uint64(1); more(times.TotalCount()); number++ {
			binary.NativeEndian.PutUint64(ping, number)
			start := time.Now()
			err := p.roundTrip(ping)
			if err == unix.EAGAIN {
				lost++
				continue
			}
			if err == nil {
				err = times.RecordValue(int64(time.Since(start)))
			}
			if err != nil {
				return err
			}
			if p.pause > 0 {
				// A signal may cut it short, which does no harm.
				_ = unix.Nanosleep(&pause, nil)
			}
		}
		return nil
	})
	return times, lost, err
}

// roundTrip sends ping there and back. The error is EAGAIN if it got lost.
func (p *pingPong) roundTrip(ping []byte) error {
	for _, way := range [][2]int{{p.client, p.server}, {p.server, p.client}} {
		if _, err := unix.Write(way[0], ping); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		if err := receive(way[1], ping); err != nil {
			return err
		}
	}
	return nil
}

// receive waits for a datagram, and passes over those that were taken for lost.
func receive(fd int, want []byte) error {
	got := make([]byte, len(want))
	for {
		_, err := unix.Read(fd, got)
		switch {
		case err == unix.EINTR: // by the runtime: a read with a time limit is not resumed
		case err != nil || bytes.Equal(got, want):
			return err
		}
	}
}

// lostAfter is when a packet is taken for lost.
const lostAfter = 50 * time.Millisecond

// pingSocket makes a connected UDP socket on which a read fails after lostAfter.
func pingSocket(host *netlab.Host, from, to netip.AddrPort) (int, error) {
	fd, err := netlab.In(host,
		func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(int64(lostAfter))
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(from.Port()), Addr: from.Addr().As4()}),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}
