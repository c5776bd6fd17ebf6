// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// queueingHost makes a host whose own UDP packets go to queue 0. Those to drainPort of loopback then
// reach a sink.
func (c *closers) queueingHost() (*netlab.Host, error) {
	host, err := netlab.New()
	if err != nil {
		return nil, err
	}
	c.add(host.Close)
	rule := rules.Rule{Hook: nfqueue.HookOutput, Protocol: rules.UDP, NoBypass: true}
	set, err := rules.Install(rules.Config{NetNS: host.FD()}, rule)
	if err != nil {
		return nil, err
	}
	c.add(set.Close)
	sink, err := listenSink(host, drainPort)
	if err != nil {
		return nil, err
	}
	c.add(sink)
	return host, nil
}

// listenSink opens a socket on a port of host that nobody reads. It takes super-packets whole, and
// throws away what does not fit into the smallest buffer there is: the least work for a packet that
// has arrived.
func listenSink(host *netlab.Host, port uint16) (close func() error, err error) {
	fd, err := netlab.In(host, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0),
		unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: netip.IPv4Unspecified().As4()}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("sink on port %d: %w", port, err)
	}
	return func() error { return unix.Close(fd) }, nil
}

// delivered returns how many IPv4 packets have reached the sockets of host, or the place where they
// would have been (InDelivers of the ipSystemStats, RFC 4293).
func delivered(host *netlab.Host) (int, error) {
	table, err := netlab.In(host,
		func() ([]byte, error) { return os.ReadFile("/proc/thread-self/net/snmp") })
	if err != nil {
		return 0, err
	}
	var names [][]byte
	for line := range bytes.Lines(table) {
		values := bytes.Fields(line)
		if len(values) == 0 || string(values[0]) != "Ip:" {
			continue
		}
		for i, name := range names {
			if string(name) == "InDelivers" {
				return strconv.Atoi(string(values[i]))
			}
		}
		names = values
	}
	return 0, errors.New("/proc/net/snmp has no InDelivers")
}

// awaitDelivered waits until want packets have been delivered, for those that are still on their
// way, and returns an error if there are fewer in the end, or more.
func awaitDelivered(ctx context.Context, host *netlab.Host, want int) error {
	for end := time.Now().Add(arrivalLimit); ; {
		got, err := delivered(host)
		switch {
		case err != nil:
			return err
		case got == want:
			return nil
		case got > want || time.Now().After(end):
			return fmt.Errorf("%d packets have arrived, want %d", got, want)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// arrivalLimit bounds the wait for packets that have their verdict.
const arrivalLimit = 5 * time.Second
