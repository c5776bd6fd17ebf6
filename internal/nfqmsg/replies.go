// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import "sync"

// Replies matches the kernel's answers with the requests that wait for them. They arrive
// among the packets, so the reader delivers them. While a queue is handed over that may be the
// other process: both begin at a random number, so that neither mistakes the answer to the
// other's request for its own.
type Replies struct {
	mu      sync.Mutex
	seq     uint32 // of the last request
	waiting map[uint32]chan int32
}

// Init begins to count requests at a number.
func (r *Replies) Init(seq uint32) {
	r.seq, r.waiting = seq, make(map[uint32]chan int32)
}

// Expect returns a number for a request, and where the error number of its reply comes.
func (r *Replies) Expect() (seq uint32, errno chan int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq++; r.seq == 0 { // asks for no reply
		r.seq++
	}
	errno = make(chan int32, 1)
	r.waiting[r.seq] = errno
	return r.seq, errno
}

// Deliver gives a reply to the request that waits for it, if there is one here.
func (r *Replies) Deliver(seq uint32, errno int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.waiting[seq]; c != nil {
		c <- errno
		delete(r.waiting, seq)
	}
}

// Cancel says that nothing waits for the reply any more.
func (r *Replies) Cancel(seq uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, seq)
}
