// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/chifflier/nfqueue-go/internal/netns"
	rtnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is a network namespace. Its methods may be used by several goroutines at once.
type Host struct {
	ns    *os.File
	route *rtnl.Handle
	close sync.Once
	queue func() (queueExpr, error)
}

// New makes a host with nothing but lo, which is up.
func New() (*Host, error) {
	h := &Host{}
	h.queue = sync.OnceValues(h.probeQueueExpr)
	err := netns.OnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netlab: make a network namespace (CAP_SYS_ADMIN needed, see Enter): %w", err)
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		if h.route, err = rtnl.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("netlab: rtnetlink: %w", err)
		}
		h.ns, err = os.Open(netns.ThreadPath)
		return err
	})
	if err != nil {
		if h.route != nil {
			h.route.Close()
		}
		return nil, err
	}
	return h, nil
}

// Current returns the network namespace of the caller as a host. Close leaves it as it is.
func Current() (*Host, error) {
	h := &Host{}
	h.queue = sync.OnceValues(h.probeQueueExpr)
	var err error
	if h.route, err = rtnl.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("netlab: rtnetlink: %w", err)
	}
	if h.ns, err = os.Open(netns.ThreadPath); err != nil {
		h.route.Close()
		return nil, err
	}
	return h, nil
}

// Routed reports whether the host has a route, other than a default route, to any address in a
// prefix.
func (h *Host) Routed(p netip.Prefix) (bool, error) {
	routes, err := h.route.RouteList(nil, rtnl.FAMILY_ALL)
	if err != nil {
		return false, fmt.Errorf("netlab: routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		if ok && bits > 0 && netip.PrefixFrom(a.Unmap(), bits).Overlaps(p) {
			return true, nil
		}
	}
	return false, nil
}

// Close releases the host; a second call does nothing. The kernel removes the namespace, with its
// links and rules, when the last socket in it is closed.
func (h *Host) Close() error {
	var err error
	h.close.Do(func() {
		h.route.Close()
		err = h.ns.Close()
	})
	return err
}

// FD returns the descriptor of the network namespace. It belongs to the host and is valid until
// Close.
func (h *Host) FD() int { return int(h.ns.Fd()) }
