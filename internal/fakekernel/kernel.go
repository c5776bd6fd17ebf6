// SPDX-License-Identifier: GPL-2.0-or-later

// Package fakekernel is the kernel's side of nfnetlink_queue in memory. It reads and writes netlink
// messages, keeps queues and counters, and treats packets as the kernel does. The network around
// the queues is missing. The package runs on every operating system without privileges. Its byte
// order is the host's, its error numbers are Linux's.
//
// Methods of Conn and Kernel make it fail or lose something at the right moment, which no message
// to a real kernel can do.
package fakekernel

import (
	"math"
	"sync"
)

// Kernel is the nfnetlink_queue of one network namespace. Its methods, and those
// of everything made by it, are safe for concurrent use.
type Kernel struct {
	mu       sync.Mutex // guards everything below, and all that hangs on it
	queues   map[uint16]*queue
	links    map[uint32]string
	sockets  uint32 // opened so far
	firstID  uint32
	flags    uint32
	rmemMax  int
	maxSend  int
	privless bool
}

// New makes a kernel that supports all flags, grants every receive buffer, and has
// the interface lo with index 1.
func New() *Kernel {
	return &Kernel{
		queues:  make(map[uint16]*queue),
		links:   map[uint32]string{1: "lo"},
		firstID: 1,
		flags:   knownFlags,
		rmemMax: math.MaxInt,
		maxSend: 512<<10 - 32,
	}
}

// SetFirstID sets the id of the first packet of queues bound from now on. A kernel
// starts with 1; ids wrap around.
func (k *Kernel) SetFirstID(id uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.firstID = id
}

// SetFlags sets which of the flags FAIL_OPEN to SECCTX (NFQA_CFG_F_*) the kernel supports. A
// request for another fails with EOPNOTSUPP.
func (k *Kernel) SetFlags(supported uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flags = supported
}

// SetReadBufferLimit sets the size of the largest receive buffer, in bytes as the kernel counts
// them: twice net.core.rmem_max.
func (k *Kernel) SetReadBufferLimit(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rmemMax = n
}

// SetMaxSend sets the size in bytes of the largest datagram that sockets opened
// from now on can send.
func (k *Kernel) SetMaxSend(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.maxSend = n
}

// SetPrivileged gives the sockets CAP_NET_ADMIN, or takes it away. The kernel checks it for every
// datagram.
func (k *Kernel) SetPrivileged(yes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.privless = !yes
}

// SetLink names an interface, or removes it if name is empty.
func (k *Kernel) SetLink(index uint32, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name == "" {
		delete(k.links, index)
		return
	}
	k.links[index] = name
}

// LinkIndex returns the index of the interface with a name, and adds the interface if there is
// none.
func (k *Kernel) LinkIndex(name string) uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	index := uint32(1)
	for i, n := range k.links {
		if n == name {
			return i
		}
		index = max(index, i+1)
	}
	k.links[index] = name
	return index
}

// Flush drops all packets that wait in any queue, as the kernel does when a base chain is removed.
// The answer to a later verdict is ENOENT.
func (k *Kernel) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, q := range k.queues {
		q.drop(Flushed)
	}
}
