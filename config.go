// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// Config says how a queue is opened and served. The zero value is queue 0: it copies whole
// packets, large ones before their segmentation (see NoGSO), and drops a packet that no handler
// decides. Open copies the Config.
type Config struct {
	// Queue is the number that rules send packets to.
	Queue uint16

	// CopyMode says how much of each packet is copied. Zero is CopyPacket.
	CopyMode CopyMode

	// CopyRange is the number of bytes copied of each packet, from the network
	// header on. Zero, and everything above MaxPayload, means MaxPayload. A handler can
	// judge a packet that is copied in part, but not replace its payload.
	CopyRange uint32

	// MaxLen is the number of packets that may wait for their verdict. The kernel drops packets
	// beyond it, or accepts them with FailOpen. Zero is DefaultMaxLen; with MaxLenNone no packet
	// is queued. Recent kernels hold at most 65536.
	MaxLen uint32

	// Flags are options of the queue in the kernel, such as FailOpen. Zero is none.
	Flags Flags

	// Fallback is the verdict for a packet that no handler decides: the handler
	// panics or returns an invalid verdict, the message cannot be decoded, a
	// deferred packet is never resolved or its time ends, or the queue shuts down.
	// It is Drop, the zero value, or Accept. It is sent without the edits that were made to
	// the packet.
	Fallback Verdict

	// ReadBuffer is the size in bytes of the socket's receive buffer, in the
	// kernel's count, where a full-size Ethernet frame takes 2304 bytes on most
	// machines. Zero sizes it for MaxLen packets, up to 64 MiB, and 8 MiB more with GSO.
	// Without CAP_NET_ADMIN in the initial user namespace the kernel grants at most
	// twice net.core.rmem_max.
	ReadBuffer int

	// Batch is the number of packets received with one system call. Zero is
	// DefaultBatch; more gains little.
	Batch int

	// FlushAfter bounds how long a verdict waits to be sent together with others, while
	// handlers of the same batch run. Zero is DefaultFlushAfter. The end of a batch sends all
	// verdicts, so a packet that is received alone is answered at once.
	FlushAfter time.Duration

	// BusyPoll is how long the queue polls an empty socket before it waits to be woken. A packet
	// that comes alone is then answered in about half the time, and a processor is busy
	// meanwhile. The queue polls only while packets come at such intervals, not when it is idle;
	// it polls at most nine tenths of the time, and not at all if that would take the last
	// processor (GOMAXPROCS) from other goroutines. 50 microseconds are enough for most
	// programs; MaxBusyPoll is the largest value. Zero never polls. Stats.BusyPolled is the time
	// that was spent.
	BusyPoll time.Duration

	// NetNS is a descriptor of the network namespace of the queue, such as an open
	// /proc/PID/ns/net. Zero is the current namespace. It may be closed after Open.
	NetNS int

	// DrainTimeout is how long Serve goes on calling its handler for queued packets after its
	// context has ended. Serve waits for a call that is running then. Zero is
	// DefaultDrainTimeout.
	DrainTimeout time.Duration

	// WorkerBacklog bounds the undecided packets of one goroutine of ServeFlows. A packet beyond
	// it gets the Fallback at once, before those that wait. One slow handler then cannot fill
	// the room that all goroutines share (see ServeFlows), though several can. Zero is no bound.
	WorkerBacklog int

	// SlowHandler is the time from which a call of a handler is slow. When a slow call returns,
	// Logger gets the id and the flow of its packet. A call that takes less than a quarter
	// longer may be missed. Zero is never; other values cost some nanoseconds for each packet.
	SlowHandler time.Duration

	// Histograms makes Stats measure handlers and verdicts, in HandlerTime and DecideTime. The
	// clock is then read twice for each packet.
	Histograms bool

	// OnPanic is called after a handler has panicked and its packet was given the Fallback;
	// Serve then goes on with the next packet. It runs on the goroutine of the handler. If
	// OnPanic is nil, Serve returns an error instead. A handler that ends its goroutine
	// (runtime.Goexit) always ends Serve. So does an OnPanic that panics or ends the goroutine:
	// its panic passes through Serve, and ServeFlows returns it in its error.
	OnPanic func(*PanicError)

	// OnRefused is called when the kernel has refused verdicts; Stats counts them as TooLate
	// and Refused. It runs on the goroutine that receives and must not block it.
	OnRefused func(*VerdictError)

	// Logger gets events that no method returns: the beginning and the end of packet loss,
	// refused verdicts, slow handlers, packets that come round again and again, a receive buffer
	// that the kernel did not grant. Nil logs nothing; Stats counts in any case.
	Logger *slog.Logger
}

// Defaults of the fields of Config.
const (
	DefaultMaxLen       = 1024 // the kernel's NFQNL_QMAX_DEFAULT
	DefaultBatch        = 96
	DefaultFlushAfter   = 100 * time.Microsecond
	DefaultDrainTimeout = 5 * time.Second
)

// MaxLenNone is for Config.MaxLen and SetMaxLen: the kernel queues no packet. It drops them or,
// with FailOpen, accepts them.
const MaxLenNone = math.MaxUint32

// MaxBusyPoll is the largest Config.BusyPoll: Close, and changes of a queue, wait for a poll to
// end.
const MaxBusyPoll = time.Millisecond

// maxBatch is UIO_MAXIOV, the most datagrams that one recvmmsg receives.
const maxBatch = 1024

// withDefaults returns c with every zero field replaced by its default, or an error that says
// which field is wrong.
func (c Config) withDefaults() (Config, error) {
	if c.Fallback != Drop && c.Fallback != Accept {
		return c, fmt.Errorf("Config.Fallback is %v; it must be Drop or Accept", c.Fallback)
	}
	if !c.CopyMode.valid() {
		return c, fmt.Errorf("Config.CopyMode is %v; it must be CopyPacket, CopyMeta or CopyNone",
			c.CopyMode)
	}
	if c.Flags&^allFlags != 0 {
		return c, fmt.Errorf("Config.Flags has unknown bits: %v", c.Flags)
	}
	if c.Batch < 0 || c.Batch > maxBatch {
		return c, fmt.Errorf("Config.Batch is %d; it must be from 1 to %d, or 0 for the default",
			c.Batch, maxBatch)
	}
	if c.WorkerBacklog < 0 || c.SlowHandler < 0 {
		return c, errors.New("Config.WorkerBacklog and SlowHandler must not be negative")
	}
	if c.ReadBuffer < 0 || c.FlushAfter < 0 || c.DrainTimeout < 0 || c.NetNS < 0 {
		return c, errors.New("Config.ReadBuffer, FlushAfter, DrainTimeout and NetNS must not be negative")
	}
	if c.BusyPoll < 0 || c.BusyPoll > MaxBusyPoll {
		return c, fmt.Errorf("Config.BusyPoll is %v; it must be from 0 to %v", c.BusyPoll, MaxBusyPoll)
	}
	if c.CopyRange == 0 || c.CopyRange > MaxPayload {
		c.CopyRange = MaxPayload
	}
	if c.CopyMode != CopyPacket {
		c.CopyRange = 0
	}
	if c.MaxLen == 0 {
		c.MaxLen = DefaultMaxLen
	}
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.FlushAfter == 0 {
		c.FlushAfter = DefaultFlushAfter
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ReadBuffer == 0 {
		c.ReadBuffer = framesBuffer(c)
		if c.Flags&NoGSO == 0 && c.CopyRange > 1500 {
			c.ReadBuffer += kernel.ReserveForGSO // MaxLen of the largest packets would be 66 MiB
		}
	}
	return c, nil
}

// framesBuffer is what MaxLen unread packets of no more than an Ethernet frame take.
func framesBuffer(c Config) int { return kernel.FramesBuffer(kernelMaxLen(c.MaxLen), c.CopyRange) }

// slotSize is the room one message needs: the copied part of the packet, which
// starts behind at most a few hundred bytes of metadata, and a conntrack entry or
// security context. 64 KiB are too few for the largest.
func slotSize(c Config) int {
	const metadata = 8 << 10
	if c.CopyMode != CopyPacket {
		return metadata
	}
	return (int(c.CopyRange) + metadata + 4095) &^ 4095
}

// copy is how much of each packet the kernel copies.
func (c Config) copy() *nfqmsg.Copy {
	return &nfqmsg.Copy{Range: c.CopyRange, Mode: copyModes[c.CopyMode].kernel}
}
