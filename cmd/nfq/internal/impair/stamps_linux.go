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

// stampArrivals has the kernel note when packets arrive, for as long as the file is open: it does
// so for all of them while a socket of the system wants it.
func stampArrivals() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("have packets stamped on arrival: %w", err)
	}
	file := os.NewFile(uintptr(fd), "stamps")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, errors.Join(
			fmt.Errorf("have packets stamped on arrival: %w", err),
			file.Close(),
		)
	}
	return file, nil
}

const (
	// mostAge is the age of a packet beyond which it has waited for something else before, or the
	// clock was set.
	mostAge = 2 * time.Millisecond
	// stampUnit is what NFQA_TIMESTAMP counts in.
	stampUnit = time.Microsecond
)

// age returns how long ago a packet arrived, at least. At the output and postrouting hooks the
// kernel does not tell.
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
