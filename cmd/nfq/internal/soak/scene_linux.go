// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

const (
	udp  = 17   // IPPROTO_UDP
	port = 9000 // that the flood is for
	// movedPort is where handlers move datagrams to, by a new payload.
	movedPort = 9001
	// againMark keeps a packet out of the queue that goes through the chain once more.
	againMark = 0x2a
)

// scene is a server that queues a flood from a client, and counts the packets that pass.
type scene struct {
	*netlab.Network
	moved, rest *netlab.Rule
	replaces    bool // the kernel takes other payloads

	quit   atomic.Bool
	paused sync.Mutex // locked while the flood must pause
	pace   atomic.Pointer[pace]
	done   chan error
}

// pace keeps the flood at most window packets ahead of the verdicts. A window of 0 does not limit
// it.
type pace struct {
	window        uint64
	sent, decided atomic.Uint64
}

// await waits until there is room in the window; not for long, since packets get lost.
func (p *pace) await() {
	for range 5 {
		if p.window == 0 || p.sent.Load() < p.decided.Load()+p.window {
			return
		}
		// On a slow machine, a goroutine that sleeps briefly can keep others from ever running.
		time.Sleep(200 * time.Microsecond)
	}
	p.sent.Store(p.decided.Load())
}

func newScene() (_ *scene, err error) {
	s := &scene{done: make(chan error, 1)}
	s.pace.Store(&pace{})
	if s.Network, err = netlab.NewPair(); err != nil {
		return nil, err
	}
	if s.replaces, err = netlab.ReplacesPayload(); err == nil {
		err = s.rules()
	}
	if err != nil {
		return nil, errors.Join(err, s.Network.Close())
	}
	fd, err := s.socket()
	if err != nil {
		return nil, errors.Join(err, s.Network.Close())
	}
	go func() { s.done <- s.flood(fd) }()
	return s, nil
}

// rules has the server queue datagrams, and count those that pass the queue.
func (s *scene) rules() error {
	table, err := s.Server.AddTable(netlab.IP, "soak")
	if err != nil {
		return err
	}
	chain, err := table.AddChain("queue", netlab.Input, 0, netlab.PolicyAccept)
	if err != nil {
		return err
	}
	later, err := table.AddChain("count", netlab.Input, 10, netlab.PolicyAccept)
	if err != nil {
		return err
	}
	for _, exprs := range [][]netlab.Expr{
		{netlab.Mark(againMark), netlab.Accept()},
		{netlab.L4Proto(udp), netlab.ToQueue(netlab.Queue{})},
	} {
		if _, err := chain.AddRule(exprs...); err != nil {
			return err
		}
	}
	if s.moved, err = later.AddRule(netlab.L4Proto(udp), netlab.DstPort(movedPort), netlab.Counter(),
		netlab.Drop()); err != nil {
		return err
	}
	s.rest, err = later.AddRule(netlab.L4Proto(udp), netlab.Counter(), netlab.Drop())
	return err
}

// passed returns how many datagrams have passed, and how many of them were moved.
func (s *scene) passed() (all, moved uint64, err error) {
	moved, _, err = s.moved.Count()
	if err != nil {
		return 0, 0, err
	}
	rest, _, err := s.rest.Count()
	return moved + rest, moved, err
}

const (
	segment  = 36 // bytes, so that a packet has 64
	segments = 64 // in a super-packet, UDP_MAX_SEGMENTS before Linux 6.10
)

// socket makes a socket of the client that sends super-packets.
func (s *scene) socket() (int, error) {
	return netlab.In(s.Client, func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		to := netip.AddrPortFrom(s.Server4, port)
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, segment),
			unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
		if err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("UDP socket to %v: %w", to, err)
		}
		return fd, nil
	})
}

// flood sends until the scene is closed.
func (s *scene) flood(fd int) error {
	b := make([]byte, segments*segment)
	for !s.quit.Load() {
		p := s.pace.Load()
		p.await()
		s.paused.Lock()
		_, err := unix.Write(fd, b)
		s.paused.Unlock()
		if err != nil {
			time.Sleep(time.Millisecond) // the device is down, or there is no memory
			continue
		}
		p.sent.Add(segments)
	}
	return unix.Close(fd)
}

func (s *scene) close() error {
	s.quit.Store(true)
	return errors.Join(<-s.done, s.Network.Close())
}
