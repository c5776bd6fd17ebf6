// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// port is that of the server.
const port = 4000

// impairment is a session that is served.
type impairment struct {
	*Session
	end func() error // once
}

// begin impairs what rules match in a host until the test ends, or until end is called.
func begin(t testing.TB, h *netlab.Host, settings string, cfg Config, texts ...string) *impairment {
	t.Helper()
	cfg.Rules[There] = parse(t, texts...)
	s, err := ParseSettings(settings)
	labtest.Must(t, err)
	cfg.Settings[There], cfg.NetNS = s, h.FD()
	return serve(t, cfg, func(s *Session) nfqueue.Handler { return s })
}

// serve begins a session with a handler of its own.
func serve(t testing.TB, cfg Config, h func(*Session) nfqueue.Handler) *impairment {
	t.Helper()
	session, err := Open(cfg)
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- session.Serve(ctx, h(session)) }()
	i := &impairment{session, sync.OnceValue(func() error {
		cancel()
		return <-done
	})}
	t.Cleanup(func() {
		if err := i.end(); err != nil {
			t.Error(err)
		}
	})
	return i
}

func parse(t testing.TB, texts ...string) (all []rules.Rule) {
	t.Helper()
	for _, text := range texts {
		r, err := rules.Parse(text)
		labtest.Must(t, err)
		all = append(all, r)
	}
	return all
}

// link is a client and a server with UDP sockets.
type link struct {
	*netlab.Network
	client, server *net.UDPConn
	to             netip.AddrPort // of server
}

func udpLink(t testing.TB, n *netlab.Network, six bool) *link {
	t.Helper()
	l := &link{Network: n, to: netip.AddrPortFrom(n.Server4, port)}
	if six {
		l.to = netip.AddrPortFrom(n.Server6, port)
	}
	var err error
	l.server, err = netlab.In(n.Server,
		func() (*net.UDPConn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.to)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.server.Close() })
	l.client, err = netlab.In(n.Client,
		func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.to)) })
	labtest.Must(t, err)
	t.Cleanup(func() { l.client.Close() })
	for _, c := range []*net.UDPConn{l.client, l.server} {
		labtest.Must(t, c.SetDeadline(time.Now().Add(patience)))
	}
	return l
}

// both runs a test over IPv4 and IPv6.
func both(t *testing.T, test func(t *testing.T, l *link)) {
	for name, six := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) { test(t, udpLink(t, labtest.Pair(t), six)) })
	}
}

func (l *link) send(t testing.TB, data []byte) {
	t.Helper()
	if _, err := l.client.Write(data); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next datagram that reaches the server.
func (l *link) receive(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := l.server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// number makes a datagram of some length that begins with a number.
func number(i, length int) []byte {
	b := make([]byte, length)
	binary.BigEndian.PutUint32(b, uint32(i))
	return b
}

// receiveNumber returns the number of the next datagram that reaches the server.
func (l *link) receiveNumber(t testing.TB) int {
	t.Helper()
	return int(binary.BigEndian.Uint32(l.receive(t)))
}

// receiveNumbers returns the numbers of the datagrams that reach the server, until the last one
// comes.
func (l *link) receiveNumbers(t testing.TB, last int) []int {
	var all []int
	for {
		i := l.receiveNumber(t)
		all = append(all, i)
		if i == last {
			return all
		}
	}
}

// arrivals makes the kernel note when datagrams arrive at the server.
func (l *link) arrivals(t testing.TB) {
	t.Helper()
	raw, err := l.server.SyscallConn()
	labtest.Must(t, err)
	var optErr error
	labtest.Must(t, raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}))
	labtest.Must(t, optErr)
}

// receiveTimes receives datagrams on the thread of its caller, and tells when the kernel got each.
func (l *link) receiveTimes(at []time.Time) error {
	raw, err := l.server.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = raw.Control(func(fd uintptr) {
		for i := range at {
			if at[i], opErr = receiveTime(int(fd)); opErr != nil {
				return
			}
		}
	})
	return errors.Join(err, opErr)
}

func receiveTime(fd int) (time.Time, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}},
			int(patience.Milliseconds()))
		if err == nil && n == 0 {
			return time.Time{}, os.ErrDeadlineExceeded
		}
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return time.Time{}, err
		}
	}
	var b, oob [256]byte
	_, oobn, _, _, err := unix.Recvmsg(fd, b[:], oob[:], unix.MSG_DONTWAIT)
	if err != nil {
		return time.Time{}, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		if len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)),
				int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
		return time.Unix(int64(binary.NativeEndian.Uint32(m.Data)),
			int64(binary.NativeEndian.Uint32(m.Data[4:]))), nil
	}
	return time.Time{}, errors.Join(errors.New("no time of arrival"), err)
}

// await returns when the counters of one way are as wanted.
func await(t testing.TB, s *impairment, w Way, what string, done func(Counters) bool) Counters {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c := s.Report()[w].Counters
		if done(c) {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s: %+v", what, c)
		}
	}
}

// wantNoTables fails if a table is left in a host.
func wantNoTables(t testing.TB, h *netlab.Host) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	tables, err := c.ListTables()
	labtest.Must(t, err)
	if len(tables) > 0 {
		t.Errorf("%d tables are left, one is %s", len(tables), tables[0].Name)
	}
}

// checksumErrors returns how many UDP packets the server has discarded for their checksum.
func (l *link) checksumErrors(t testing.TB) int {
	t.Helper()
	if l.to.Addr().Is6() {
		return statistic(t, l.Server, "snmp6", "", "Udp6InCsumErrors")
	}
	return statistic(t, l.Server, "snmp", "Udp:", "InCsumErrors")
}

// statistic returns a counter of the kernel from a file below /proc/thread-self/net. There is a
// line for each, or one with names and one with values for each protocol.
func statistic(t testing.TB, h *netlab.Host, file, protocol, name string) int {
	t.Helper()
	b, err := netlab.In(h,
		func() ([]byte, error) { return os.ReadFile("/proc/thread-self/net/" + file) })
	labtest.Must(t, err)
	column := -1
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		value := ""
		switch {
		case protocol == "" && fields[0] == name:
			value = fields[1]
		case fields[0] == protocol && column < 0:
			column = slices.Index(fields, name)
			continue
		case fields[0] == protocol:
			value = fields[column]
		default:
			continue
		}
		n, err := strconv.Atoi(value)
		labtest.Must(t, err)
		return n
	}
	t.Fatalf("%s has no %s", file, name)
	return 0
}
