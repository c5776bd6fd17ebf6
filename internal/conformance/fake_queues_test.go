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
	"github.com/chifflier/nfqueue-go/internal/bridge"
	"github.com/chifflier/nfqueue-go/internal/conformance"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// fakeKernel is the kernel in memory, with the rest of the path over a loopback interface.
type fakeKernel struct {
	*fakekernel.Kernel
	t       *testing.T
	rule    conformance.Rule
	arrived chan string
	network sync.WaitGroup

	mu      sync.Mutex
	flights []*fakekernel.Flight
}

func TestFakeQueues(t *testing.T) { conformance.TestQueues(t, newFake) }

func newFake(t *testing.T, rule conformance.Rule) conformance.Kernel {
	k := &fakeKernel{Kernel: fakekernel.New(), t: t, rule: rule, arrived: make(chan string, 1000)}
	t.Cleanup(k.network.Wait) // when the queues are closed
	return k
}

func (k *fakeKernel) Open(cfg nfqueue.Config) (*nfqueue.Queue, error) {
	q, err := bridge.OpenOver(k.Kernel.Dial(), cfg)
	if err != nil {
		return nil, err
	}
	return q.(*nfqueue.Queue), nil
}

func (k *fakeKernel) Dial() conformance.Socket { return &fakeSocket{k.t, k.Kernel.Dial()} }

var from, to = netip.MustParseAddrPort("127.0.0.1:1024"), netip.MustParseAddrPort("127.0.0.1:1025")

func (k *fakeKernel) Send(text string) {
	f := k.Kernel.Send(fakekernel.Rule{
		Queue: k.rule.Queue, Bypass: k.rule.Bypass,
		Match: func(p fakekernel.Packet) bool { return p.Mark != 2 },
	}, fakekernel.Packet{
		Family: uint8(nfqueue.FamilyIPv4), EtherType: 0x0800, Hook: uint8(nfqueue.HookOutput), OutDev: 1,
		Payload: unfinished(nfqueuetest.UDP(from, to, []byte(text))),
		SKBInfo: uint32(nfqueue.ChecksumNotReady),
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flights = append(k.flights, f)
	k.network.Go(func() {
		<-f.Done()
		if o := f.Outcome(); o.Passed && valid(o) {
			k.arrived <- string(o.Packet.Payload[28:])
		}
	})
}

// unfinished replaces the checksum of a UDP packet by the sum of the pseudo-header, as it
// is until a network card or segmentation completes it.
func unfinished(b []byte) []byte {
	sum := ippkt.PseudoIPv4([4]byte(b[12:]), [4]byte(b[16:]), ippkt.Protocol(b[9]), uint32(len(b)-20))
	binary.BigEndian.PutUint16(b[26:], ippkt.Fold(sum))
	return b
}

// valid does the checks of the receiver.
func valid(o fakekernel.Outcome) bool {
	whole := slices.Clone(o.Packet.Payload)
	if err := ippkt.Complete(whole); err != nil {
		return false
	}
	return o.Packet.SKBInfo&uint32(nfqueue.ChecksumNotReady) != 0 ||
		bytes.Equal(whole, o.Packet.Payload)
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

func (k *fakeKernel) NeedReplace() {}

func (k *fakeKernel) Passed() int {
	return k.count(func(fakekernel.Packet) bool { return true })
}

func (k *fakeKernel) Marked() int {
	return k.count(func(p fakekernel.Packet) bool { return p.Mark == 1 })
}

func (k *fakeKernel) count(which func(fakekernel.Packet) bool) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.flights {
		select {
		case <-f.Done():
			if o := f.Outcome(); o.Passed && which(o.Packet) {
				n++
			}
		default:
		}
	}
	return n
}
