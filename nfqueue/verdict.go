// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"math"
	"runtime"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// SetVerdict decides the packet and sends the verdict at once: NF_DROP, NF_ACCEPT,
// NF_REPEAT, NF_STOP, or NF_QUEUE with the number of another queue in the upper 16 bits.
//
// An error wraps ErrRuntime and nfqueue.ErrInvalidVerdict if the kernel would not take
// the verdict, in which case another one may be given, with which nothing of this one is
// sent; nfqueue.ErrResolved if the packet has one; and nfqueue.ErrClosed if the queue was destroyed, which dropped the packet.
// It wraps ErrNotInitialized if the program has made the Payload itself, as a test may.
//
// The result of nfqueue.Handler takes its place, and nfqueue.Held.Resolve for a verdict
// after the callback.
func (p *Payload) SetVerdict(verdict int) error { return p.decide(verdict, nil, nil) }

// SetVerdictModified is SetVerdict with another packet in the place of this one. data is
// copied. It is sent as it is: lengths and checksums must be right. Empty data leave the
// packet as it was. Errors wrap ErrRuntime; after one of nfqueue.ErrTruncated, because
// the mode is NFQNL_COPY_META, or of data longer than nfqueue.MaxPayload, the packet still
// waits for its verdict.
//
// nfqueue.Packet.SetPayloadRaw takes its place, or SetPayload, which sets lengths and
// checksums to fit.
func (p *Payload) SetVerdictModified(verdict int, data []byte) error {
	return p.decide(verdict, nil, data)
}

// SetVerdictMark is SetVerdict with another packet mark. nfqueue.Packet.SetMark takes its
// place.
func (p *Payload) SetVerdictMark(verdict int, mark uint32) error {
	return p.decide(verdict, &mark, nil)
}

// SetVerdictMarkModified is SetVerdictModified with another packet mark.
func (p *Payload) SetVerdictMarkModified(verdict int, mark uint32, data []byte) error {
	return p.decide(verdict, &mark, data)
}

func (p *Payload) decide(verdict int, mark *uint32, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock() // which also keeps p from being abandoned before
	if p.held == nil {
		return fmt.Errorf("%w: a Payload that no callback was given has no packet to decide", ErrNotInitialized)
	}
	if int64(verdict) < math.MinInt32 || int64(verdict) > math.MaxUint32 {
		return runtimeError(fmt.Errorf("%w: %#x is more than the 32 bits of a verdict", nfqueue.ErrInvalidVerdict, verdict))
	}
	v := nfqueue.Verdict(verdict)
	if bridge.CheckVerdict(uint32(v)) != nil {
		return runtimeError(p.held.Resolve(v)) // which says why; an edit would go with the next verdict
	}
	if !p.decided {
		// Now, since the packet may be on its way afterwards.
		if len(data) > 0 {
			if err := p.held.Packet().SetPayloadRaw(data); err != nil {
				return runtimeError(err)
			}
		}
		if mark != nil {
			p.held.Packet().SetMark(*mark)
		}
	}
	p.decided = true
	return runtimeError(p.held.Resolve(v))
}

// watch has a packet that the callback has left undecided dropped when nobody can decide
// it any more.
func (p *Payload) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.decided {
		runtime.AddCleanup(p, abandon, p.held)
	}
}

func abandon(h *nfqueue.Held) { _ = h.Resolve(nfqueue.Drop) }
