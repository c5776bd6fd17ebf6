// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	rtnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// awaitLimit bounds the wait for something that the kernel does within milliseconds.
	awaitLimit = 10 * time.Second
	// awaitAgain is the time after which to check again without a notification: the kernel announces a
	// new IPv6 route just before lookups find it.
	awaitAgain = 2 * time.Millisecond
)

// await waits until done returns true. It calls done after every change of a link or an IPv6 route.
func (h *Host) await(what string, done func() (bool, error)) error {
	// Subscribe before the first check, or a change in between would be missed.
	events, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		NetNS:  h.FD(),
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV6_ROUTE,
	})
	if err != nil {
		return fmt.Errorf("netlab: rtnetlink: %w", err)
	}
	defer func() { _ = events.Close() }()
	for start := time.Now(); time.Since(start) < awaitLimit; {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := events.SetReadDeadline(time.Now().Add(awaitAgain)); err != nil {
			return err
		}
		_, err := events.Receive()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("netlab: wait for %s: %w", what, err)
		}
	}
	return fmt.Errorf("netlab: %s: not after %v", what, awaitLimit)
}

func (h *Host) awaitCarrier(name string) error {
	return h.await(name+" to be operational", func() (bool, error) {
		link, err := h.link(name)
		return err == nil && link.Attrs().OperState == rtnl.OperUp, err
	})
}

// awaitLocal waits until the host accepts packets for an IPv6 address. The kernel adds the route
// for that from a work queue.
func (h *Host) awaitLocal(addr netip.Addr) error {
	return h.await(addr.String()+" to be in use", func() (bool, error) {
		routes, err := h.route.RouteGet(addr.AsSlice())
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
			return false, nil
		}
		return len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL, err
	})
}
