// SPDX-License-Identifier: GPL-2.0-or-later

// Package owner finds the processes behind a packet: those that have the socket which sent it, or
// the socket on this machine which will receive it. The name is that of the iptables match.
//
// The kernel says which socket it is (sock_diag(7)), and /proc says which processes have it open.
// Both are questions about the present, and the packet is from the past: a process may have ended,
// or passed its socket on, and a port may belong to another socket by now. Ask before the verdict,
// while the packet waits in the queue, and pass the user id of [nfqueue.Packet.UID]: a socket of
// another user is not taken for the packet's. Do not base a permission on the answer alone.
//
// Sockets of every user are found with CAP_NET_ADMIN, which a queue needs anyway. The processes of
// other users are visible to root (CAP_SYS_PTRACE), and only those of the own process namespace.
//
// An answer takes a system call when the processes are known from the time before, and
// milliseconds to look through all processes when they are not. A handler should ask once for each
// connection.
package owner

import (
	"errors"
	"math"
)

// AnyUser is for Finder.Find if the user id is not known. No user has it.
const AnyUser = math.MaxUint32

// ErrNotFound means that no socket of this machine, or none of the user, sends or receives the
// packet: it was forwarded, the kernel itself sent it, or the socket is closed.
var ErrNotFound = errors.New("no socket sends or receives this packet")

// Owner is who has the socket of a packet.
type Owner struct {
	// UID is the user who opened the socket, in the user namespace of the caller.
	UID uint32
	// Inode identifies the socket, as in "socket:[INODE]" below /proc/PID/fd.
	Inode uint64
	// Processes have the socket open, in the order of their ids. None is listed if the caller may
	// not see them.
	Processes []Process
}

// Process is a process at the time of the answer.
type Process struct {
	PID int
	// Name is that of the main thread, up to 15 bytes that the process may choose
	// (/proc/PID/comm).
	Name string
	// Cgroup is the path below the root of cgroup v2, such as "/system.slice/sshd.service", and
	// empty without cgroup v2.
	Cgroup string
}
