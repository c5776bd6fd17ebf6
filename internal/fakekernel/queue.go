// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"container/list"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// Copy modes (enum nfqnl_config_mode).
const (
	copyNone   = 0
	copyMeta   = 1
	copyPacket = 2
)

// Flags (NFQA_CFG_F_*).
const (
	flagFailOpen  = 1 << 0
	flagConntrack = 1 << 1
	flagGSO       = 1 << 2
	flagUIDGID    = 1 << 3
	flagSecCtx    = 1 << 4
	knownFlags    = 1<<5 - 1
)

const (
	maxCopyRange  = 0xffff - 4
	defaultMaxLen = 1024
	// maxPending is the capacity of the hash table of a queue, also if its maximum length is larger.
	maxPending = 65536
)

// queue is struct nfqnl_instance.
type queue struct {
	number    uint16
	owner     *Conn
	mode      uint8
	copyRange uint32
	maxLen    uint32
	flags     uint32
	lastID    uint32

	queueDropped, userDropped uint32

	order list.List // of *entry, in the order of arrival
	byID  map[uint32]*list.Element
}

// entry is a packet that waits for its verdict.
type entry struct {
	id     uint32
	flight *Flight
}

func newQueue(number uint16, owner *Conn, firstID uint32) *queue {
	return &queue{
		number: number, owner: owner,
		copyRange: maxCopyRange, maxLen: defaultMaxLen, lastID: firstID - 1,
		byID: make(map[uint32]*list.Element),
	}
}

// enqueue queues a packet to a queue by number, or ends its flight. With bypass the packet passes
// if nobody has bound the queue.
func (k *Kernel) enqueue(f *Flight, number uint16, bypass bool) {
	q := k.queues[number]
	p := &f.packet
	switch {
	case q == nil:
		f.end(NotBound, bypass)
	case q.mode == copyNone:
		f.end(ModeNone, false)
	case p.SKBInfo&skbGSO != 0 && q.flags&flagGSO == 0:
		f.end(NotSegmented, false)
	case uint64(q.order.Len()) >= uint64(q.maxLen):
		q.overflow(f, QueueFull, &q.queueDropped)
	default:
		if q.mode == copyPacket && q.flags&flagGSO == 0 && p.SKBInfo&skbChecksumNotReady != 0 {
			if p.Len <= len(p.Payload) {
				// skb_checksum_help. A packet of another protocol stays as it is.
				_ = ippkt.Complete(p.Payload)
			}
			p.SKBInfo &^= skbChecksumNotReady
		}
		q.lastID++
		if q.order.Len() >= maxPending {
			q.overflow(f, QueueFull, &q.queueDropped)
			return
		}
		payload := min(len(p.Payload), int(q.copyRange))
		size := payload + len(p.Conntrack) + len(p.SecCtx) + len(p.LinkHeader)
		if !q.owner.deliverPacket(
			q.message(q.lastID, p), charge(size), packetID{q.number, q.lastID}, payload,
		) {
			q.overflow(f, BufferFull, &q.userDropped)
			return
		}
		e := &entry{q.lastID, f}
		q.byID[e.id] = q.order.PushBack(e)
		f.queue, f.id, f.queued = q.number, e.id, true
	}
}

// overflow ends the flight of a packet for which there is no room.
func (q *queue) overflow(f *Flight, cause Cause, counter *uint32) {
	if q.flags&flagFailOpen != 0 {
		f.end(cause, true)
		return
	}
	*counter++
	f.end(cause, false)
}

// take removes the entry with an id.
func (q *queue) take(id uint32) *Flight {
	el := q.byID[id]
	if el == nil {
		return nil
	}
	return q.remove(el)
}

// takeUpTo removes the entries from the oldest one up to the last whose id is not after max, in
// wrap-around arithmetic.
func (q *queue) takeUpTo(max uint32) (taken []*Flight) {
	for {
		first := q.order.Front()
		if first == nil || int32(first.Value.(*entry).id-max) > 0 {
			return taken
		}
		taken = append(taken, q.remove(first))
	}
}

func (q *queue) remove(el *list.Element) *Flight {
	e := q.order.Remove(el).(*entry)
	delete(q.byID, e.id)
	e.flight.queued = false
	return e.flight
}

// drop drops all waiting packets.
func (q *queue) drop(cause Cause) {
	for el := q.order.Front(); el != nil; el = q.order.Front() {
		q.remove(el).end(cause, false)
	}
}

// unbind removes a queue.
func (k *Kernel) unbind(q *queue) {
	delete(k.queues, q.number)
	q.drop(Unbound)
}
