// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package nfqueue

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/chifflier/nfqueue-go/internal/transport"
)

func dial(int, time.Duration) (transport.Conn, error) {
	return nil, fmt.Errorf("NFQUEUE is part of the Linux kernel, this program was built for %s/%s: %w",
		runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}

func adopt(*os.File, int, time.Duration) (transport.Conn, error) { return dial(0, 0) }

func readQueueTable() ([]byte, error) {
	_, err := dial(0, 0)
	return nil, err
}
