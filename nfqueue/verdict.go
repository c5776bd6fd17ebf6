// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"math"
	"runtime"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// SetVerdict decides the packet and sends the verdict at once: NF_DROP, NF_ACCEPT, NF_REPEAT,
// NF_STOP, or NF_QUEUE with the number of another queue in the upper 16 bits.
//
// An error wraps ErrRuntime and one of these:
//   - nfqueue.ErrInvalidVerdict if the kernel refuses such a verdict. The program may then give
//     another one; nothing of this one is sent with it.
//   - nfqueue.ErrResolved if the packet has a verdict already.
//   - nfqueue.ErrClosed if the queue was destroyed, which dropped the packet.
//
// It wraps ErrNotInitialized if the program has made the Payload itself, as a test may.
//
// The result of nfqueue.Handler takes its place, and nfqueue.Held.Resolve for a verdict after the
// callback.
func (p *Payload) SetVerdict(verdict int) error { return p.decide(verdict, nil, nil) }

// SetVerdictModified is SetVerdict with another packet in place of this one. data is copied. It is
// sent as it is: lengths and checksums must be right. If data is empty the packet stays as it was.
// Errors wrap ErrRuntime. After nfqueue.ErrTruncated, because the mode is NFQNL_COPY_META, and
// after an error because data is longer than nfqueue.MaxPayload, the packet still waits for its
// verdict.
//
// nfqueue.Packet.SetPayloadRaw takes its place, or SetPayload, which sets lengths and checksums to
// fit.
func (p *Payload) SetVerdictModified(verdict int, data []byte) error {
	return p.decide(verdict, nil, data)
}

// SetVerdictMark is SetVerdict with another packet mark. nfqueue.Packet.SetMark takes its place.
func (p *Payload) SetVerdictMark(verdict int, mark uint32) error {
	return p.decide(verdict, &mark, nil)
}

// SetVerdictMarkModified is SetVerdictModified with another packet mark.
func (p *Payload) SetVerdictMarkModified(verdict int, mark uint32, data []byte) error {
	return p.decide(verdict, &mark, data)
}

func (p *Payload) decide(verdict int, mark *uint32, data []byte) error {
	k := p.packet
	if k == nil {
		return fmt.Errorf("%w: the Payload does not come from a callback, so it has no packet to decide",
			ErrNotInitialized)
	}
	k.mu.Lock()
	defer k.mu.Unlock() // which also keeps k from being abandoned before
	if int64(verdict) < math.MinInt32 || int64(verdict) > math.MaxUint32 {
		return runtimeError(
			fmt.Errorf("%w: %#x has more than the 32 bits of a verdict", nfqueue.ErrInvalidVerdict, verdict),
		)
	}
	v := nfqueue.Verdict(verdict)
	if bridge.CheckVerdict(uint32(v)) != nil {
		// Resolve says why. An edit made before it would be sent with the next verdict.
		return runtimeError(k.held.Resolve(v))
	}
	if !k.decided {
		// Edit before Resolve: afterwards the packet may be on its way.
		if len(data) > 0 {
			if err := k.held.Packet().SetPayloadRaw(data); err != nil {
				return runtimeError(err)
			}
		}
		if mark != nil {
			k.held.Packet().SetMark(*mark)
		}
	}
	k.decided = true
	return runtimeError(k.held.Resolve(v))
}

// watch has a packet dropped that the callback has left undecided, as soon as no copy of its
// Payload exists any more.
func (k *packet) watch() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.decided {
		runtime.AddCleanup(k, abandon, k.held)
	}
}

func abandon(h *nfqueue.Held) { _ = h.Resolve(nfqueue.Drop) }
