// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"golang.org/x/sys/unix"
)

// largestVerdict is what a verdict with the largest payload takes in the send buffer, in the
// kernel's count.
const largestVerdict = 96 << 10

// buffers checks the limits that the kernel sets for the buffers of sockets. It doubles what a
// program asks for, and grants twice the sysctl at most.
func (r *Report) buffers(p privileges) {
	frames, withGSO := receiveBuffer()
	r.buffer(
		"net.core.rmem_max",
		unix.SO_RCVBUF,
		p,
		frames,
		withGSO,
		"the receive buffer of a queue does not hold the 1024 full-size packets that may wait by default; what exceeds it is dropped, or passes with fail-open",
	)
	r.buffer("net.core.wmem_max", unix.SO_SNDBUF, p, largestVerdict, largestVerdict,
		"the send buffer of a queue is too small for a verdict with the largest payload")
}

// receiveBuffer returns what the default configuration of package nfqueue needs for full-size
// Ethernet frames, and asks for.
func receiveBuffer() (frames, withGSO int) {
	_, frame := kernel.Charge()
	frames = nfqueue.DefaultMaxLen * frame
	return frames, frames + kernel.ReserveForGSO
}

// buffer checks one: least is what is needed, want what is recommended.
func (r *Report) buffer(sysctl string, option int, p privileges, least, want int, lack string) {
	granted, err := largestBuffer(option)
	fix := fmt.Sprintf("sysctl -w %s=%d", sysctl, want/2)
	switch {
	case err != nil:
		r.add(sysctl, Unknown, "", "%s: %v", sysctl, err)
	case p.queue && p.initial:
		r.add(sysctl, OK, "", "%s is %d, which does not bind this user", sysctl, granted/2)
	case granted < least:
		r.add(sysctl, Warning, fix, "%s is %d: %s", sysctl, granted/2, lack)
	case granted < want:
		r.add(sysctl, Info, fix, "%s is %d: enough, but not for a burst of the largest packets (GSO)",
			sysctl, granted/2)
	default:
		r.add(sysctl, OK, "", "%s is %d", sysctl, granted/2)
	}
}

// largestBuffer returns what the kernel grants. The sysctl itself cannot be read in every network
// namespace.
func largestBuffer(option int) (granted int, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1<<30); err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
}
