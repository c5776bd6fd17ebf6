// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"fmt"
	"os"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"golang.org/x/sys/unix"
)

// leastWatch is how long a queue is watched before it is said to hang.
const leastWatch = 2 * time.Second

// Run makes all checks of a network namespace, that of the caller if ns is nil. kernel makes those
// of Kernel, elsewhere if the caller lacks the privileges.
func Run(ns *os.File, kernel func() (*Report, error)) (*Report, error) {
	r := &Report{}
	if err := r.release(); err != nil {
		return nil, err
	}
	reader := &stat.Reader{NetNS: ns}
	before, readErr := reader.Read()
	if k, err := kernel(); err != nil {
		r.add("kernel-features", Unknown, "", "what the kernel can do: %v", err)
	} else {
		r.Findings = append(r.Findings, k.Findings...)
	}
	err := netns.Do(ns, func() error {
		p := r.privileges()
		r.buffers(p)
		all, complete := r.allRules()
		var now stat.Snapshot
		if readErr == nil {
			now, readErr = reader.Read()
		}
		if rest := leastWatch - now.Time.Sub(before.Time); readErr == nil && rest > 0 &&
			anyHangs(before, now) {
			time.Sleep(rest)
			now, readErr = reader.Read()
		}
		switch {
		case readErr == nil:
			bound := make(map[uint16]bool)
			for _, q := range now.Queues {
				bound[q.Queue] = true
			}
			r.served(all, func(queue uint16) (bool, error) { return bound[queue], nil })
			r.queues(before, now, all, complete)
		case p.queue:
			r.served(all, askKernel)
		}
		if readErr != nil {
			r.add("queues", Unknown, "", "the bound queues: %v", readErr)
		}
		return nil
	})
	return r, err
}

// release returns the release of the kernel.
func (r *Report) release() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	r.add("kernel", Info, "", "%s %s %s", unix.ByteSliceToString(u.Sysname[:]),
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	return nil
}
