// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		verdict int
		want    nfqueue.Verdict
	}{
		{NF_DROP, nfqueue.Drop},
		{NF_ACCEPT, nfqueue.Accept},
		{NF_REPEAT, nfqueue.Repeat},
		{NF_STOP, nfqueue.Stop},
		{NF_QUEUE, nfqueue.ToQueue(0)},
		{NF_QUEUE | 7<<16, nfqueue.ToQueue(7)},
	} {
		k := nfqueuetest.NewKernel(t)
		loop(t, initialized(k), func(p *Payload) int {
			must(t, p.SetVerdict(c.verdict))
			return NF_ACCEPT // of no account
		})
		r := k.Send(5, nfqueuetest.Spec{Match: func(nfqueuetest.Spec) bool { return false }}).Result()
		if r.Verdict != c.want || r.Edits != (nfqueuetest.Edits{}) {
			t.Errorf("verdict %d: %+v", c.verdict, r)
		}
	}
}

func TestPayloadTellsAndChanges(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	got := make(chan *Payload, 1)
	verdicts := map[byte]func(p *Payload, data []byte) error{
		0: func(p *Payload, data []byte) error { return p.SetVerdictModified(NF_ACCEPT, data) },
		1: func(p *Payload, data []byte) error { return p.SetVerdictMark(NF_ACCEPT, 3) },
		2: func(p *Payload, data []byte) error { return p.SetVerdictMarkModified(NF_ACCEPT, 4, data) },
		3: func(p *Payload, data []byte) error { return p.SetVerdictModified(NF_ACCEPT, nil) },
	}
	other := []byte("not even an IP packet, longer than what it replaces, but sent as it is")
	loop(t, initialized(k), func(p *Payload) int {
		must(t, verdicts[p.Data[0]](p, other))
		got <- p
		return 0
	})
	for i, c := range []nfqueuetest.Result{
		{Payload: other, Mark: 9, Edits: nfqueuetest.Edits{Payload: true}},
		{Payload: []byte{1, 'x'}, Mark: 3, Edits: nfqueuetest.Edits{Mark: true}},
		{Payload: other, Mark: 4, Edits: nfqueuetest.Edits{Payload: true, Mark: true}},
		{Payload: []byte{3, 'x'}, Mark: 9},
	} {
		sent := []byte{byte(i), 'x'}
		r := k.Send(5, nfqueuetest.Spec{
			Payload: sent, Family: nfqueue.FamilyIPv4, EtherType: 0x0800, Mark: 9, Hook: nfqueue.HookForward,
			InDev: 2, OutDev: 3, PhysInDev: 4, PhysOutDev: 5,
		}).Result()
		if !r.Passed || !bytes.Equal(r.Payload, c.Payload) || r.Mark != c.Mark || r.Edits != c.Edits {
			t.Errorf("%d: %+v", i, r)
		}
		p := receive(t, got) // and used after its callback
		if p.Id != uint32(i+1) || p.GetNFMark() != 9 || p.GetInDev() != 2 || p.GetOutDev() != 3 ||
			p.GetPhysInDev() != 4 || p.GetPhysOutDev() != 5 {
			t.Errorf("%d: %+v", i, p)
		}
		if !bytes.Equal(p.Data, sent) {
			t.Errorf("%d: Data is %q after the verdict", i, p.Data)
		}
	}
}

// The program may keep Data, as with the cgo package: later packets must not overwrite it.
func TestDataIsKept(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	kept := make(chan *Payload, 3)
	loop(t, initialized(k), func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		kept <- p
		return 0
	})
	packets := [][]byte{[]byte("one__"), []byte("two__"), []byte("three")}
	for _, b := range packets {
		k.Send(5, nfqueuetest.Spec{Payload: b, Family: nfqueue.FamilyIPv4, EtherType: 0x0800}).Result()
	}
	for _, want := range packets {
		if p := receive(t, kept); !bytes.Equal(p.Data, want) {
			t.Errorf("packet %d is %q now, was %q", p.Id, p.Data, want)
		}
	}
}

// The program may change Data, also after the verdict.
func TestModifyInPlace(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	loop(t, initialized(k), func(p *Payload) int {
		p.Data[0] = 'b'
		must(t, p.SetVerdictModified(NF_ACCEPT, p.Data))
		p.Data[0] = 'c'
		return 0
	})
	sent := append([]byte("a"), make([]byte, 40)...) // the kernel drops what is shorter than its headers
	r := k.Send(5, nfqueuetest.Spec{Payload: sent, Family: nfqueue.FamilyIPv4,
		EtherType: 0x0800}).Result()
	if !r.Passed || r.Payload[0] != 'b' {
		t.Errorf("%q", r.Payload)
	}
}

func TestVerdictLeavesDuringCallback(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	passed := make(chan struct{})
	loop(t, initialized(k), func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		<-passed
		return 0
	})
	k.Send(5, nfqueuetest.Spec{}).Result()
	close(passed)
}

func TestVerdictErrors(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	later := make(chan *Payload, 1)
	loop(t, q, func(p *Payload) int {
		if p.Id > 1 {
			later <- p
			return 0
		}
		want(t, p.SetVerdict(2), ErrRuntime, nfqueue.ErrInvalidVerdict)
		want(t, p.SetVerdict(255), ErrRuntime, nfqueue.ErrInvalidVerdict)
		want(t, p.SetVerdict(-1), ErrRuntime, nfqueue.ErrInvalidVerdict)
		if err := p.SetVerdictModified(NF_ACCEPT, make([]byte, nfqueue.MaxPayload+1)); err == nil {
			t.Error("a packet of 65532 bytes was taken")
		}
		must(t, p.SetVerdict(NF_ACCEPT))
		want(t, p.SetVerdict(NF_ACCEPT), ErrRuntime, nfqueue.ErrResolved)
		want(t, p.SetVerdictMarkModified(NF_ACCEPT, 1, []byte("x")), ErrRuntime, nfqueue.ErrResolved)
		return 0
	})
	if r := k.Send(5, nfqueuetest.Spec{}).Result(); !r.Passed || r.Edits != (nfqueuetest.Edits{}) {
		t.Errorf("%+v", r)
	}

	f := k.Send(5, nfqueuetest.Spec{})
	p := receive(t, later)
	must(t, p.SetVerdict(NF_ACCEPT))
	if r := f.Result(); !r.Passed {
		t.Errorf("after the callback: %+v", r)
	}

	must(t, q.SetMode(NFQNL_COPY_META))
	f = k.Send(5, nfqueuetest.Spec{})
	p = receive(t, later)
	if len(p.Data) != 0 {
		t.Errorf("%d bytes with NFQNL_COPY_META", len(p.Data))
	}
	want(t, p.SetVerdictModified(NF_ACCEPT, []byte("x")), ErrRuntime, nfqueue.ErrTruncated)
	must(t, p.SetVerdict(NF_ACCEPT))
	f.Result()
}

// Nothing of a refused call is sent with the next verdict.
func TestRefusedVerdict(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	sent := bytes.Repeat([]byte("sent"), 20)
	other := bytes.Repeat([]byte("other"), 20)
	loop(t, initialized(k), func(p *Payload) int {
		for _, v := range []int{2, 255, -1, NF_ACCEPT | 1<<16} {
			want(t, p.SetVerdictModified(v, other), ErrRuntime, nfqueue.ErrInvalidVerdict)
			want(t, p.SetVerdictMark(v, 3), ErrRuntime, nfqueue.ErrInvalidVerdict)
			want(t, p.SetVerdictMarkModified(v, 3, other), ErrRuntime, nfqueue.ErrInvalidVerdict)
		}
		must(t, p.SetVerdict(NF_ACCEPT))
		want(t, p.SetVerdict(255), ErrRuntime, nfqueue.ErrInvalidVerdict)
		want(t, p.SetVerdictMarkModified(NF_ACCEPT, 3, other), ErrRuntime, nfqueue.ErrResolved)
		if packet := p.packet.held.Packet(); packet.Mark() != 9 || !bytes.Equal(packet.Payload(), sent) {
			t.Error("a packet was changed that has its verdict")
		}
		return 0
	})
	r := k.Send(5, nfqueuetest.Spec{Payload: sent, Family: nfqueue.FamilyIPv4, EtherType: 0x0800,
		Mark: 9}).Result()
	if !r.Passed || !bytes.Equal(r.Payload, sent) || r.Mark != 9 || r.Edits != (nfqueuetest.Edits{}) {
		t.Errorf("%+v", r)
	}
}

// An int has more bits than a verdict. They must not be cut off, or 1<<32 would be NF_DROP.
func TestVerdictTooLarge(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("an int has 32 bits")
	}
	k := nfqueuetest.NewKernel(t)
	large := int64(1) << 32
	loop(t, initialized(k), func(p *Payload) int {
		for _, v := range []int64{large, large + int64(NF_ACCEPT), -large, math.MinInt64, math.MaxInt64} {
			err := p.SetVerdictMark(int(v), 3)
			want(t, err, ErrRuntime, nfqueue.ErrInvalidVerdict)
			if err != nil && !strings.Contains(err.Error(), "32 bits") {
				t.Error(err)
			}
		}
		queue := uint32(40000<<16 | 3)
		must(t, p.SetVerdict(int(int32(queue)))) // as a program has it that is for 32 bits too
		return 0
	})
	r := k.Send(5, nfqueuetest.Spec{Match: func(nfqueuetest.Spec) bool { return false }}).Result()
	if r.Verdict != nfqueue.ToQueue(40000) || r.Edits != (nfqueuetest.Edits{}) {
		t.Errorf("%+v", r)
	}
}

// Tests of callbacks make Payloads of their own.
func TestVerdictWithoutQueue(t *testing.T) {
	p := &Payload{Id: 1, Data: []byte("x")}
	want(t, p.SetVerdict(NF_ACCEPT), ErrNotInitialized)
	want(t, p.SetVerdictMarkModified(NF_ACCEPT, 1, p.Data), ErrNotInitialized)
	if mark := p.GetNFMark(); mark != 0 {
		t.Errorf("mark %d", mark)
	}
}
