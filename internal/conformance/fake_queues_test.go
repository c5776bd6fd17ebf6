// SPDX-License-Identifier: GPL-2.0-or-later

package conformance_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/checksum"
	"github.com/chifflier/nfqueue-go/internal/conformance"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// fakeKernel is the kernel in memory, and what is around it on the way over a loopback
// interface.
type fakeKernel struct {
	*nfqueuetest.Kernel
	t       *testing.T
	rule    conformance.Rule
	arrived chan string

	mu      sync.Mutex
	flights []*nfqueuetest.Flight
}

func TestFakeQueues(t *testing.T) { conformance.TestQueues(t, newFake) }

func newFake(t *testing.T, rule conformance.Rule) conformance.Kernel {
	return &fakeKernel{Kernel: nfqueuetest.NewKernel(t), t: t, rule: rule, arrived: make(chan string, 1000)}
}

var from, to = netip.MustParseAddrPort("127.0.0.1:1024"), netip.MustParseAddrPort("127.0.0.1:1025")

func (k *fakeKernel) Send(text string) {
	f := k.Kernel.Send(k.rule.Queue, nfqueuetest.Spec{
		Hook: nfqueue.HookOutput, OutDevName: "lo",
		Payload: unfinished(nfqueuetest.UDP(from, to, []byte(text))),
		SKBInfo: nfqueue.ChecksumNotReady,
		Bypass:  k.rule.Bypass,
		Match:   func(s nfqueuetest.Spec) bool { return s.Mark != 2 },
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flights = append(k.flights, f)
	go func() {
		<-f.Done()
		if r := f.Result(); r.Passed && valid(r) {
			k.arrived <- string(r.Payload[28:])
		}
	}()
}

// unfinished replaces the checksum of a UDP packet by the sum of the pseudo-header, as it
// is until a network card or segmentation completes it.
func unfinished(b []byte) []byte {
	sum := checksum.PseudoIPv4([4]byte(b[12:]), [4]byte(b[16:]), b[9], uint32(len(b)-20))
	binary.BigEndian.PutUint16(b[26:], checksum.Fold(sum))
	return b
}

// valid is what the receiver checks.
func valid(r nfqueuetest.Result) bool {
	whole := slices.Clone(r.Payload)
	if err := ippkt.Complete(whole); err != nil {
		return false
	}
	return !r.Edits.Payload || bytes.Equal(whole, r.Payload)
}

func (k *fakeKernel) Receive() string {
	k.t.Helper()
	select {
	case s := <-k.arrived:
		return s
	case <-time.After(10 * time.Second):
		k.t.Fatal("nothing arrives")
		return ""
	}
}

func (k *fakeKernel) Passed() int {
	return k.count(func(nfqueuetest.Result) bool { return true })
}

func (k *fakeKernel) Marked() int {
	return k.count(func(r nfqueuetest.Result) bool { return r.Mark == 1 })
}

func (k *fakeKernel) count(which func(nfqueuetest.Result) bool) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.flights {
		select {
		case <-f.Done():
			if r := f.Result(); r.Passed && which(r) {
				n++
			}
		default:
		}
	}
	return n
}
