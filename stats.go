// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go/internal/addup"
	"github.com/chifflier/nfqueue-go/internal/latency"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// Stats is a snapshot of what a queue has seen since it was opened. Its books balance to
// the packet:
//
//	Received = Verdicts() + Held + Undecided() + Abandoned
//	verdicts that had an effect = Verdicts() - TooLate - Refused - Unsent
//	Kernel.LastID = Received + Lost + packets that wait to be read
//
// Undecided is 0 when Serve has returned, unless a panic has left packets for the next Serve.
// While packets move, the fields of a snapshot are not of one instant. When nothing moves, even
// if handlers block, the books balance. The last line does not hold for a queue that was handed
// over.
type Stats struct {
	// Received is the number of packets received from the socket, Batches the number of receive
	// calls that returned some. Bytes is the sum of their copied payloads; it may lack those of
	// the last batch.
	Received, Bytes, Batches uint64

	// Accepted, Dropped, Repeated, Stopped and Requeued are the numbers of verdicts given,
	// by kind, the Fallback included. A verdict is counted when it is sent, that of Held.Resolve
	// when Resolve is called.
	Accepted, Dropped, Repeated, Stopped, Requeued uint64
	// Sends is the number of datagrams in which they were sent to the kernel.
	Sends uint64

	// Deferred is the number of packets that were deferred, Held the number of those that
	// still wait for Resolve.
	Deferred, Held uint64

	// Fallback tells why packets were given Config.Fallback.
	Fallback FallbackStats

	// Abandoned is the number of packets that had no verdict when the queue was closed.
	// The kernel has dropped them, or after File does when the other process closes the
	// queue too.
	Abandoned uint64

	// AlreadyResolved is the number of verdicts that were ignored, because the handler had
	// deferred the packet and it was resolved before the handler returned.
	AlreadyResolved uint64
	// TooLate is the number of verdicts for packets that the kernel had already dropped,
	// because a device went down or a chain was removed. The kernel does not report them
	// if it still has another packet of the same batch message; see docs/reliability.md.
	TooLate uint64
	// Refused is the number of verdicts that the kernel refused for another reason,
	// without CAP_NET_ADMIN for example. The packets may still wait.
	Refused uint64
	// Unsent is the number of verdicts that could not be sent: the kernel had no memory for
	// them, or the queue had been closed.
	Unsent uint64

	// WithoutConntrack is the number of changes of a connection (SetConnMark and the like)
	// that failed because the queue does not have the flag Conntrack. If the handler ignores
	// the error, nothing else shows them.
	WithoutConntrack uint64

	// Looped is the number of verdicts that sent a packet to its queue again as it came (Repeat,
	// or ToQueue with the number of the queue), from the hundredth for the same packet on.
	// Packets with the same beginning, length and mark count as the same; a packet whose payload,
	// priority, VLAN tag or mark is changed is not looked at. Up to 256 are watched at a time.
	Looped uint64

	// Lost is the number of ids that were not received. These packets did not fit into the
	// receive buffer, and the kernel dropped them or, with FailOpen, accepted them. Packets
	// whose message had no usable id are among them. A loss is counted when the next packet is
	// received; Kernel.UserDropped shows it earlier.
	Lost uint64
	// Malformed is the number of messages without a usable packet id.
	Malformed uint64
	// ReceiveErrors is the number of failed receive calls that were tried again.
	ReceiveErrors uint64

	// BusyPolled is how long the queue has polled its socket, see Config.BusyPoll.
	BusyPolled time.Duration

	// ReadBuffer is the size of the socket's receive buffer in bytes, ReadBufferUsed the part
	// that is used, in the kernel's count. Both are zero after Close.
	ReadBuffer, ReadBufferUsed int

	// HandlerTime has how long each call of a handler took. DecideTime has how long it took from
	// receiving a packet to its verdict. That includes the wait behind other packets of the batch,
	// or of the same goroutine of ServeFlows, and for a deferred packet the wait until Held.Resolve
	// or the end of its time. It excludes the wait in the kernel's queue before, and the wait until
	// the verdict is sent after. Packets that get the Fallback instead of a call are in neither.
	// Both are nil without Config.Histograms.
	HandlerTime, DecideTime *Histogram

	// Kernel is the kernel's own account of the queue; after Close it is the last one. It is
	// nil when /proc/net/netfilter/nfnetlink_queue cannot be read, as in a user namespace.
	Kernel *KernelQueue
}

// Verdicts returns the number of verdicts given.
func (s Stats) Verdicts() uint64 {
	return s.Accepted + s.Dropped + s.Repeated + s.Stopped + s.Requeued
}

// Undecided returns the number of packets that were received and have no verdict yet: a
// handler has them, they wait for a handler or for the next Serve, or their verdict is about to
// be sent.
func (s Stats) Undecided() uint64 {
	settled := s.Verdicts() + s.Held + s.Abandoned
	if settled > s.Received { // the snapshot was taken while packets moved
		return 0
	}
	return s.Received - settled
}

// FallbackStats counts the packets that were given Config.Fallback, by cause.
type FallbackStats struct {
	Panic     uint64 // the handler panicked
	Invalid   uint64 // the handler returned an invalid verdict
	Malformed uint64 // the message could not be decoded
	Truncated uint64 // the message was longer than its slot
	Expired   uint64 // deferred, and the time had passed
	Shutdown  uint64 // undecided when the time for draining ended
	Send      uint64 // the verdict with its payload could not be sent
	Backlog   uint64 // Config.WorkerBacklog packets waited for its goroutine
}

// Histogram counts durations by size.
type Histogram struct {
	// Buckets[i] is the number of durations up to Bound(i) that are longer than Bound(i-1). The
	// last bucket has all that are longer.
	Buckets [latency.Buckets]uint64
	// Sum is the sum of all durations.
	Sum time.Duration
}

// Bound returns the longest duration in bucket i, which is not the last: 250 ns for the first,
// and twice as much for each next one.
func (h *Histogram) Bound(i int) time.Duration { return latency.Bound(i) }

// String returns the number of durations and their mean.
func (h *Histogram) String() string {
	var n uint64
	for _, b := range h.Buckets {
		n += b
	}
	return fmt.Sprintf("%d, mean %v", n, h.Sum/time.Duration(max(n, 1)))
}

// counters are the fields of Stats that more than one goroutine counts, but for those of the
// sender.
type counters struct {
	received, bytes, batches, lost                       atomic.Uint64
	deferred, alreadyResolved, tooLate, refused          atomic.Uint64
	malformed, receiveErrors, abandoned                  atomic.Uint64
	fallbackPanic, fallbackInvalid, fallbackMalformed    atomic.Uint64
	fallbackTruncated, fallbackExpired, fallbackShutdown atomic.Uint64

	fallbackBacklog, withoutConntrack, looped atomic.Uint64

	kernel atomic.Pointer[KernelQueue] // when the queue was closed
}

// atLeast0 is c, or 0 while that is below: a verdict of Held.Resolve may be overruled
// before it is counted.
func atLeast0(c *atomic.Uint64) uint64 { return uint64(max(int64(c.Load()), 0)) }

// Stats returns a snapshot. It reads a file in /proc: call it a few times a second at most.
func (q *Queue) Stats() Stats {
	s := q.snapshot()
	if q.life.IsClosed() {
		s.Kernel = q.stats.kernel.Load()
		return s
	}
	s.ReadBuffer, s.ReadBufferUsed, _ = q.conn.ReadBuffer()
	if k, err := q.kernelQueue(); err == nil {
		s.Kernel = &k
	}
	return s
}

// snapshot returns the counters of the queue, without those of the kernel.
func (q *Queue) snapshot() Stats {
	q.held.Lock()
	defer q.held.Unlock()
	c, out := &q.stats, &q.out.Counters
	s := Stats{
		Bytes: c.bytes.Load(), Batches: c.batches.Load(),
		Accepted: atLeast0(&out.Accepted), Dropped: atLeast0(&out.Dropped),
		Repeated: atLeast0(&out.Repeated),
		Stopped:  atLeast0(&out.Stopped), Requeued: atLeast0(&out.Requeued),
		BusyPolled: q.conn.BusyPolled(),
		Sends:      out.Sends.Load(), Deferred: c.deferred.Load(), Held: uint64(q.held.Len()),
		Fallback: FallbackStats{
			Panic: c.fallbackPanic.Load(), Invalid: c.fallbackInvalid.Load(),
			Malformed: c.fallbackMalformed.Load(), Truncated: c.fallbackTruncated.Load(),
			Expired: c.fallbackExpired.Load(), Shutdown: c.fallbackShutdown.Load(),
			Send: out.FallbackSend.Load(), Backlog: c.fallbackBacklog.Load(),
		},
		Abandoned: c.abandoned.Load(), WithoutConntrack: c.withoutConntrack.Load(),
		Looped:          c.looped.Load(),
		AlreadyResolved: c.alreadyResolved.Load(), TooLate: c.tooLate.Load(),
		Refused: c.refused.Load(), Unsent: out.Unsent.Load(),
		Lost: c.lost.Load(), Malformed: c.malformed.Load(), ReceiveErrors: c.receiveErrors.Load(),
	}
	if handler, decided, ok := q.times.Read(); ok {
		s.HandlerTime, s.DecideTime = (*Histogram)(&handler), (*Histogram)(&decided)
	}
	s.Received = c.received.Load() // last, so that there are no more verdicts than packets
	return s
}

// add adds the statistics of another queue.
func (s *Stats) add(o Stats) {
	if first := s.Kernel == nil; o.Kernel != nil {
		k := *o.Kernel
		if k.PortID = 0; !first {
			k.Queue, k.CopyMode, k.CopyRange = s.Kernel.Queue, s.Kernel.CopyMode, s.Kernel.CopyRange
			k.Backlog += s.Kernel.Backlog
			k.QueueDropped += s.Kernel.QueueDropped
			k.UserDropped += s.Kernel.UserDropped
			k.LastID += s.Kernel.LastID
		}
		s.Kernel = &k
	}
	addup.Fields(s, &o)
}

// KernelQueue is a line of /proc/net/netfilter/nfnetlink_queue, the kernel's account
// of a bound queue. Its counters start when the queue is bound. The maximum length
// and the flags are not in it.
type KernelQueue struct {
	// Queue is the number of the queue.
	Queue uint16
	// PortID is the netlink port id of the socket that has bound it. The first
	// netfilter socket of a process usually has the process id.
	PortID uint32
	// Backlog is the number of packets that wait for a verdict, including those that were
	// already received.
	Backlog uint32
	// CopyMode and CopyRange say how much of each packet is copied.
	CopyMode  CopyMode
	CopyRange uint32
	// QueueDropped is the number of packets lost because the queue was full, UserDropped the
	// number lost because the receive buffer of the socket was full. Neither includes packets
	// that were accepted by FailOpen.
	QueueDropped, UserDropped uint32
	// LastID is the id of the latest packet.
	LastID uint32
}

// String returns all fields with their names.
func (k *KernelQueue) String() string { return fmt.Sprintf("%+v", *k) }

// errNotListed means that no socket has bound a queue.
var errNotListed = errors.New("the kernel lists no such queue")

// KernelQueues returns the bound queues of the network namespace of the calling
// thread, including those of other processes. Only root may read the file; root of a user
// namespace may read it only if its ids were mapped when the network namespace was made.
func KernelQueues() ([]KernelQueue, error) {
	table, err := readQueueTable()
	if err != nil {
		return nil, fmt.Errorf("nfqueue: kernel statistics: %w", err)
	}
	return parseQueueTable(table)
}

// kernelQueue returns the kernel's account of q, or of what another socket has bound
// under its number.
func (q *Queue) kernelQueue() (KernelQueue, error) {
	table, err := q.conn.ProcTable()
	if err != nil {
		return KernelQueue{}, err
	}
	infos, err := parseQueueTable(table)
	for _, i := range infos {
		if i.Queue == q.cfg.Queue {
			return i, nil
		}
	}
	return KernelQueue{}, errors.Join(err, errNotListed)
}

// parseQueueTable parses the kernel's table of queues.
func parseQueueTable(table []byte) ([]KernelQueue, error) {
	lines, err := nfqmsg.ParseQueueTable(table)
	infos := make([]KernelQueue, len(lines))
	for i, l := range lines {
		infos[i] = KernelQueue{
			Queue: l.Queue, PortID: l.PortID, Backlog: l.Backlog,
			CopyMode: copyModeOf(l.CopyMode), CopyRange: l.CopyRange,
			QueueDropped: l.QueueDropped, UserDropped: l.UserDropped, LastID: l.LastID,
		}
	}
	if err != nil {
		return infos, fmt.Errorf("nfqueue: %w", err)
	}
	return infos, nil
}
