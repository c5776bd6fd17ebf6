// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// flowLoad sends datagrams on many flows, each to an address of its own on loopback,
// and receives them. A lane is a sending and a receiving socket and their flows.
type flowLoad struct {
	*netlab.Host
	queueing *netlab.Chain
	lanes    []lane
	flows    int // of each lane
	seqs     int // datagrams of each flow
}

type lane struct {
	from, to *net.UDPConn
	room     chan struct{} // in the socket that receives
}

const (
	// laneRoom is how many small datagrams the usual receive buffer holds, also if the kernel has
	// enlarged them for a change.
	laneRoom = 100
	// flowData is the size of a datagram: flow and number, and room for an answer.
	flowData = 64
)

func newFlowLoad(t testing.TB, lanes, flows, seqs int) *flowLoad {
	t.Helper()
	h := labtest.Host(t)
	l := &flowLoad{Host: h, queueing: labtest.Chain(t, h, netlab.IP, netlab.Output, 0), flows: flows,
		seqs: seqs}
	for i := range lanes {
		l.lanes = append(l.lanes, lane{
			from: queuelab.ListenUDP(t, h, netip.AddrPortFrom(queuelab.Localhost,
				queuelab.Port+1000+uint16(i))),
			to: queuelab.ListenUDP(t, h, netip.AddrPortFrom(netip.IPv4Unspecified(),
				queuelab.Port+uint16(i))),
			room: make(chan struct{}, laneRoom),
		})
	}
	return l
}

// total returns the number of flows.
func (l *flowLoad) total() int { return len(l.lanes) * l.flows }

// run sends all datagrams, and calls arrived for each that arrives, on one goroutine for each lane.
// It returns when all have arrived.
func (l *flowLoad) run(t testing.TB, arrived func(flow, seq int, data []byte)) {
	t.Helper()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range l.lanes {
		c := &l.lanes[i]
		wg.Go(func() { // send
			b := make([]byte, flowData)
			for seq := range l.seqs {
				for f := range l.flows {
					select {
					case c.room <- struct{}{}:
					case <-ctx.Done():
						return
					}
					binary.BigEndian.PutUint32(b, uint32(i*l.flows+f))
					binary.BigEndian.PutUint32(b[4:], uint32(seq))
					to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(f >> 8), byte(f)}),
						queuelab.Port+uint16(i))
					if _, err := c.from.WriteToUDPAddrPort(b, to); err != nil {
						t.Errorf("lane %d: %v", i, err)
						return
					}
				}
			}
		})
		wg.Go(func() { // receive
			b := make([]byte, 2*flowData)
			for k := range l.flows * l.seqs {
				_ = c.to.SetReadDeadline(time.Now().Add(queuelab.Patience))
				n, _, err := c.to.ReadFromUDPAddrPort(b)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("lane %d: %d of %d datagrams have arrived", i, k, l.flows*l.seqs)
				}
				if err != nil {
					cancel()
					return
				}
				<-c.room
				arrived(int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:])), b[8:n])
			}
		})
	}
	wg.Wait()
}

// flowAndSeq returns the flow and the number in the datagram of a queued packet.
func flowAndSeq(p *nfqueue.Packet) (flow, seq int) {
	b := p.Payload()[queuelab.UDPData(p):]
	return int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
}
