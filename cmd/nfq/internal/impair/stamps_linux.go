// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/sys/unix"
)

// stampArrivals has the kernel record when packets arrive, until the file is closed. The kernel
// stamps all packets while any socket on the system asks for it.
func stampArrivals() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("have packets stamped on arrival: %w", err)
	}
	file := os.NewFile(uintptr(fd), "stamps")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, errors.Join(fmt.Errorf("have packets stamped on arrival: %w", err), file.Close())
	}
	return file, nil
}

const (
	// mostAge is the oldest age that is believed. An older packet has waited elsewhere, or the
	// clock was set.
	mostAge = 2 * time.Millisecond
	// stampUnit is the unit of NFQA_TIMESTAMP.
	stampUnit = time.Microsecond
)

// age returns how long ago a packet arrived, at least. It is 0 at output and postrouting, where the
// kernel sets no timestamp.
func age(p *nfqueue.Packet) time.Duration {
	at, ok := p.Time()
	if !ok {
		return 0
	}
	if d := time.Since(at) - stampUnit; d > 0 && d <= mostAge {
		return d
	}
	return 0
}
