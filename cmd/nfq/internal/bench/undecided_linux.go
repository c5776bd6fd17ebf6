// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/consumer"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

const (
	undecidedConns = 200_000
	undecidedBody  = 64 // bytes that each has said
	undecidedChunk = 256
	undecidedTurns = 5 // how often all are replaced by others
)

// newUndecided measures the memory of a consumer that waits for more of many connections, also when
// others take their place.
func newUndecided(l *lab) *situation {
	u := &undecidedMemory{conns: l.few(undecidedConns)}
	return &situation{
		name: fmt.Sprintf("%d undecided connections", u.conns),
		metrics: []figure.Metric{
			{Name: "memory of each, beside its bytes", Unit: "B", Less: true},
			{Name: "of all", Unit: "MiB", Less: true},
			{Name: fmt.Sprintf("when %d others came", undecidedTurns*u.conns), Unit: "MiB", Less: true},
		},
		variants: func(c consumer.Consumer) []consumer.Consumer {
			return []consumer.Consumer{tracking(c, consumer.Undecided)}
		},
		can: func(c consumer.Consumer) bool {
			_, none := c.(noQueue)
			return !none && c.Can(consumer.Setup{})
		},
		prepare: func(context.Context, *situation, []consumer.Consumer) error { return u.prepare() },
		run:     u.run,
		close:   u.close,
	}
}

type undecidedMemory struct {
	conns int
	host  *netlab.Host
	fd    int
	closers
}

func (u *undecidedMemory) prepare() (err error) {
	if u.host, err = u.queueingHost(); err != nil {
		return err
	}
	u.fd, err = netlab.In(u.host, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	})
	if err != nil {
		return fmt.Errorf("raw socket: %w", err)
	}
	u.add(func() error { return unix.Close(u.fd) })
	return nil
}

func (u *undecidedMemory) run(
	ctx context.Context,
	c consumer.Consumer,
) (figures []float64, err error) {
	setup := consumer.Usual
	setup.MaxConns = u.conns + undecidedChunk
	r, err := c.Start(ctx, u.host, setup)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Go(); err != nil {
		return nil, err
	}
	if err := u.send(ctx, 0, undecidedChunk); err != nil { // touches what a batch touches
		return nil, err
	}
	before, err := r.Usage()
	if err != nil {
		return nil, err
	}
	if err := u.send(ctx, undecidedChunk, undecidedChunk+u.conns); err != nil {
		return nil, err
	}
	after, err := r.Usage()
	if err != nil {
		return nil, err
	}
	all := undecidedChunk + (1+undecidedTurns)*u.conns
	if err := u.send(ctx, undecidedChunk+u.conns, all); err != nil {
		return nil, err
	}
	churned, err := r.Usage()
	if err != nil {
		return nil, err
	}
	report, err := stopped(r)
	if err == nil && report.Packets != uint64(all) {
		err = fmt.Errorf("%d packets were decided of %d", report.Packets, all)
	}
	each := float64(after.Resident-before.Resident)/float64(u.conns) - undecidedBody
	return []float64{each, float64(after.Resident) / (1 << 20), float64(churned.Resident) / (1 << 20)}, err
}

// send has clients from one number up to another send a datagram each, a few at a time so that the
// queue never overflows.
func (u *undecidedMemory) send(ctx context.Context, from, to int) error {
	p := make([]byte, udpHeaders+undecidedBody)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(p[16:], netip.MustParseAddr("127.0.0.1").AsSlice())
	binary.BigEndian.PutUint16(p[22:], drainPort)
	binary.BigEndian.PutUint16(p[24:], uint16(len(p)-20))
	for from < to {
		before, err := delivered(u.host)
		if err != nil {
			return err
		}
		n := min(undecidedChunk, to-from)
		for i := range n {
			binary.BigEndian.PutUint32(p[12:], 0x7f010000+uint32(from+i)>>14)
			binary.BigEndian.PutUint16(p[20:], uint16(1024+(from+i)&0x3fff))
			if err := unix.Sendto(u.fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				return fmt.Errorf("send from a raw socket: %w", err)
			}
		}
		if err := awaitDelivered(ctx, u.host, before+n); err != nil {
			return err
		}
		from += n
	}
	return nil
}
