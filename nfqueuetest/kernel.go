// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
)

// limit bounds every wait for what should happen at once.
const limit = 10 * time.Second

// Kernel is an nfnetlink_queue in memory. Ids, limits of queues and buffers, effects of verdicts
// and errors are those of Linux. Methods that make a queue fail take its number. They concern the
// queue that is open under that number, or else the next one; several calls add up.
//
// Methods are safe for concurrent use.
type Kernel struct {
	tb   testing.TB
	fake *fakekernel.Kernel

	mu      sync.Mutex
	sockets map[uint16]*socket
	queues  []*nfqueue.Queue
	flights []*Flight
	failed  []error // of Serve
	serving sync.WaitGroup
	ctx     context.Context // of Serve
	cancel  context.CancelFunc
}

// socket is the socket of the queue that is open under a number, or of the one to be
// opened next.
type socket struct {
	*fakekernel.Conn
	used bool
}

// NewKernel makes a kernel without queues. When the test ends it shuts down the queues
// that are still open, and the test fails if
//
//   - a packet has no verdict then, because nobody serves its queue, the handler does not return,
//     or a Held packet was never resolved;
//   - a packet was dropped because its queue was closed before it had a verdict, and the test has
//     not looked at its Flight;
//   - a handler has changed the payload of a packet in place, without SetPayload, and did not drop
//     the packet;
//   - Serve does not return.
//
// A queue overwrites the memory of a packet with 0xDB, at the latest when it receives again after
// the packet's verdict: a handler that keeps a slice of a packet without a copy finds that there.
func NewKernel(tb testing.TB) *Kernel {
	k := &Kernel{tb: tb, fake: fakekernel.New(), sockets: make(map[uint16]*socket)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	tb.Cleanup(k.finish)
	return k
}

// Open opens a queue as nfqueue.Open does. Config.NetNS has no meaning.
func (k *Kernel) Open(cfg nfqueue.Config) (*nfqueue.Queue, error) {
	k.mu.Lock()
	s := k.socketLocked(cfg.Queue)
	if s.used { // a queue that is opened twice is refused to the second socket
		s = &socket{Conn: k.fake.Dial()}
	}
	s.used = true
	k.mu.Unlock()
	opened, err := bridge.OpenOver(s.Conn, cfg)
	if err != nil {
		return nil, err
	}
	q := opened.(*nfqueue.Queue)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queues = append(k.queues, q)
	return q, nil
}

// Serve opens a queue and serves it with h until the test ends. It ends the test if the queue
// cannot be opened. If Queue.Serve fails, for example because h panics, the test fails in the end.
func (k *Kernel) Serve(cfg nfqueue.Config, h nfqueue.Handler) *nfqueue.Queue {
	k.tb.Helper()
	q, err := k.Open(cfg)
	if err != nil {
		k.tb.Fatal(err)
	}
	k.serving.Go(func() {
		if err := q.Serve(k.ctx, h); err != nil && !errors.Is(err, nfqueue.ErrClosed) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.failed = append(k.failed, err)
		}
	})
	return q
}

// Send sends a packet to a queue. It returns when the packet waits there, or has been dropped or
// let pass without being queued.
func (k *Kernel) Send(queue uint16, s Spec) *Flight {
	k.tb.Helper()
	s = s.withDefaults()
	name := summary(s.Payload)
	if _, file, line, ok := runtime.Caller(1); ok {
		name = fmt.Sprintf("%s, sent at %s:%d", name, filepath.Base(file), line)
	}
	f := &Flight{tb: k.tb, name: name, flight: k.fake.Send(s.rule(queue), s.packet(k.fake))}
	select {
	case <-f.flight.Done():
		if Cause(f.flight.Outcome().Cause) == NotSegmented {
			k.tb.Errorf(
				"nfqueuetest: %v has SegmentationPending but queue %d was opened with NoGSO; "+
					"send the segments instead",
				f, queue,
			)
		}
	default:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flights = append(k.flights, f)
	return f
}

// SetFirstID sets the id of the first packet of queues opened from now on, so that a
// test can see ids wrap around. The default is 1.
func (k *Kernel) SetFirstID(id uint32) { k.fake.SetFirstID(id) }

// SetFlags sets the flags that the kernel supports. The default is all but NoGSO, with which
// it would be one that cannot queue super-packets.
func (k *Kernel) SetFlags(f nfqueue.Flags) { k.fake.SetFlags(uint32(f ^ nfqueue.NoGSO)) }

// SetReadBufferLimit sets the largest receive buffer, in bytes as the kernel counts
// them, of queues opened from now on. The default is no limit.
func (k *Kernel) SetReadBufferLimit(n int) { k.fake.SetReadBufferLimit(n) }

// SetMaxSend sets the size in bytes of the largest datagram that queues opened from now on can
// send. A verdict with a larger payload fails with EMSGSIZE. The default is that of a socket with a
// send buffer of 512 KiB.
func (k *Kernel) SetMaxSend(n int) { k.fake.SetMaxSend(n) }

// SetPrivileged gives the test CAP_NET_ADMIN, or takes it away. Without it the kernel refuses every
// request and verdict with EPERM. The default is true.
func (k *Kernel) SetPrivileged(yes bool) { k.fake.SetPrivileged(yes) }

// SetLink names the interface with an index, or removes it if name is empty. Those in
// a Spec are added by Send.
func (k *Kernel) SetLink(index int, name string) { k.fake.SetLink(uint32(index), name) }

// Flush drops all packets that wait in any queue, as Linux does when a base chain is removed.
func (k *Kernel) Flush() { k.fake.Flush() }
