// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

// initialized makes a Queue over a kernel in memory.
func initialized(k *nfqueuetest.Kernel) *Queue { return &Queue{open: k.Open} }

// must fails the test at once for an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless err is of the given kinds.
func want(t testing.TB, err error, kinds ...error) {
	t.Helper()
	for _, k := range kinds {
		if !errors.Is(err, k) {
			t.Errorf("error %v is not %q", err, k)
		}
	}
}

// receive returns the next value from a channel.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// loop runs q until the test ends, as queue 5 with a callback.
func loop(t testing.TB, q *Queue, cb Callback) {
	t.Helper()
	must(t, q.SetCallback(cb))
	must(t, q.CreateQueue(5))
	ended := start(q)
	t.Cleanup(func() {
		// A StopLoop that comes before Loop is lost, so call it until it is heard.
		for {
			q.StopLoop()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
				q.Close()
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// start runs a Loop and returns where its result comes.
func start(q *Queue) <-chan error {
	ended := make(chan error, 1)
	go func() {
		defer close(ended) // also when the callback ends the goroutine with t.Fatal
		ended <- q.Loop()
	}()
	return ended
}

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
		if p.Id != uint32(i+1) || p.GetNFMark() != 9 || p.GetInDev() != 2 || p.GetOutDev() != 3 || p.GetPhysInDev() != 4 || p.GetPhysOutDev() != 5 {
			t.Errorf("%d: %+v", i, p)
		}
		if !bytes.Equal(p.Data, sent) {
			t.Errorf("%d: Data is %q after the verdict", i, p.Data)
		}
	}
}

// Data is the program's to keep, as it was with the cgo package: packets that come later
// must not show in it.
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

// Data may be changed, and go on being changed after the verdict.
func TestModifyInPlace(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	loop(t, initialized(k), func(p *Payload) int {
		p.Data[0] = 'b'
		must(t, p.SetVerdictModified(NF_ACCEPT, p.Data))
		p.Data[0] = 'c'
		return 0
	})
	sent := append([]byte("a"), make([]byte, 40)...) // the kernel drops what is shorter than its headers
	r := k.Send(5, nfqueuetest.Spec{Payload: sent, Family: nfqueue.FamilyIPv4, EtherType: 0x0800}).Result()
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

// A refused call leaves nothing behind that goes with the next verdict.
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
		if packet := p.held.Packet(); packet.Mark() != 9 || !bytes.Equal(packet.Payload(), sent) {
			t.Error("a packet was changed that has its verdict")
		}
		return 0
	})
	r := k.Send(5, nfqueuetest.Spec{Payload: sent, Family: nfqueue.FamilyIPv4, EtherType: 0x0800, Mark: 9}).Result()
	if !r.Passed || !bytes.Equal(r.Payload, sent) || r.Mark != 9 || r.Edits != (nfqueuetest.Edits{}) {
		t.Errorf("%+v", r)
	}
}

// An int has room for more than a verdict. What it has too much must not be cut off, or 1<<32
// would be NF_DROP.
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

// Tests of callbacks make their own.
func TestVerdictWithoutQueue(t *testing.T) {
	p := &Payload{Id: 1, Data: []byte("x")}
	want(t, p.SetVerdict(NF_ACCEPT), ErrNotInitialized)
	want(t, p.SetVerdictMarkModified(NF_ACCEPT, 1, p.Data), ErrNotInitialized)
	if mark := p.GetNFMark(); mark != 0 {
		t.Errorf("mark %d", mark)
	}
}

// SetMode from the callback cannot have the kernel's answer, as its documentation says.
func TestModeInCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := nfqueuetest.NewKernel(t)
		q := initialized(k)
		loop(t, q, func(p *Payload) int {
			if p.Id > 1 {
				if len(p.Data) != 0 {
					t.Errorf("%d bytes with NFQNL_COPY_META", len(p.Data))
				}
				must(t, p.SetVerdict(NF_ACCEPT))
				return 0
			}
			for name, set := range map[string]func() error{
				"SetMode":        func() error { return q.SetMode(NFQNL_COPY_META) },
				"SetQueueMaxLen": func() error { return q.SetQueueMaxLen(10) },
			} {
				began := time.Now()
				want(t, set(), ErrRuntime, os.ErrDeadlineExceeded)
				if took := time.Since(began); took != 2*time.Second {
					t.Errorf("%s took %v", name, took)
				}
			}
			must(t, p.SetVerdict(NF_ACCEPT))
			return 0
		})
		k.Send(5, nfqueuetest.Spec{}).Result()
		k.Send(5, nfqueuetest.Spec{}).Result()
	})
}

func TestOrderOfCalls(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := new(Queue)
	q.Close()
	q.StopLoop()
	accept := func(p *Payload) int { must(t, p.SetVerdict(NF_ACCEPT)); return 0 }
	need := func(f ...func() error) {
		t.Helper()
		for i, f := range f {
			if err := f(); err != ErrNotInitialized {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
	bind := func() error { return q.Bind(2) }
	unbind := func() error { return q.Unbind(2) }
	create := func() error { return q.CreateQueue(5) }
	mode := func() error { return q.SetMode(NFQNL_COPY_PACKET) }
	length := func() error { return q.SetQueueMaxLen(10) }
	need(bind, unbind, create, mode, length, q.Loop, q.DestroyQueue)
	q.open = k.Open
	must(t, bind())
	must(t, unbind())
	need(create, mode, length, q.Loop, q.DestroyQueue)
	must(t, q.SetCallback(accept))
	need(mode, length, q.Loop, q.DestroyQueue)

	want(t, q.CreateQueue(-1), ErrRuntime)
	want(t, q.CreateQueue(65536), ErrRuntime)
	k.SetPrivileged(false)
	want(t, create(), ErrRuntime, fs.ErrPermission)
	k.SetPrivileged(true)
	must(t, create())
	want(t, create(), ErrRuntime)
	must(t, mode())
	must(t, length())
	want(t, q.SetMode(3), ErrRuntime)

	other := initialized(k)
	must(t, other.SetCallback(accept))
	want(t, other.CreateQueue(5), ErrRuntime, nfqueue.ErrQueueInUse)
	must(t, q.DestroyQueue())
	need(mode, length, q.Loop, q.DestroyQueue)
	must(t, other.CreateQueue(5))
	must(t, q.CreateQueue(6))
	other.Close()
	other.Close()
	q.Close()
	need(bind, create, q.Loop)
}

func TestLoopAgain(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	defer q.Close()
	must(t, q.SetCallback(func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		q.StopLoop()
		return 0
	}))
	must(t, q.CreateQueue(5))
	f := k.Send(5, nfqueuetest.Spec{})
	for range 3 {
		// Two wait, and each Loop is for one.
		next := k.Send(5, nfqueuetest.Spec{})
		must(t, receive(t, start(q)))
		f.Result()
		f = next
		q.StopLoop() // nobody hears it
	}
	must(t, receive(t, start(q)))
	f.Result()
}

func TestLoopOnce(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	inside, leave := make(chan struct{}), make(chan struct{})
	loop(t, q, func(p *Payload) int {
		close(inside)
		<-leave
		must(t, p.SetVerdict(NF_ACCEPT))
		return 0
	})
	f := k.Send(5, nfqueuetest.Spec{})
	receive(t, inside)
	want(t, q.Loop(), ErrRuntime, nfqueue.ErrServing)
	close(leave)
	f.Result()
}

func TestDestroyUnderLoop(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	inside, leave := make(chan *Payload), make(chan struct{})
	must(t, q.SetCallback(func(p *Payload) int {
		inside <- p
		<-leave
		return 0
	}))
	must(t, q.CreateQueue(5))
	ended := start(q)
	f := k.Send(5, nfqueuetest.Spec{})
	p := receive(t, inside)
	must(t, q.DestroyQueue())
	want(t, p.SetVerdict(NF_ACCEPT), ErrRuntime, nfqueue.ErrClosed)
	close(leave)
	want(t, receive(t, ended), ErrRuntime, nfqueue.ErrClosed)
	if r := f.Result(); r.Passed {
		t.Errorf("%+v", r)
	}
}

func TestCloseInCallback(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	must(t, q.SetCallback(func(p *Payload) int {
		must(t, p.SetVerdict(NF_ACCEPT))
		q.Close()
		return 0
	}))
	must(t, q.CreateQueue(5))
	ended := start(q)
	if r := k.Send(5, nfqueuetest.Spec{}).Result(); !r.Passed {
		t.Errorf("%+v", r)
	}
	want(t, receive(t, ended), ErrRuntime, nfqueue.ErrClosed)
}

func TestPanic(t *testing.T) {
	k := nfqueuetest.NewKernel(t)
	q := initialized(k)
	defer q.Close()
	cause := errors.New("in the callback")
	must(t, q.SetCallback(func(p *Payload) int { panic(cause) }))
	must(t, q.CreateQueue(5))
	panicked := make(chan any, 1)
	loop := func() {
		defer func() { panicked <- recover() }()
		q.Loop()
	}
	go loop()
	f, next := k.Send(5, nfqueuetest.Spec{}), k.Send(5, nfqueuetest.Spec{})
	for range 2 {
		err, _ := receive(t, panicked).(*nfqueue.PanicError)
		if err == nil || err.Value != cause || !bytes.Contains(err.Stack, []byte("TestPanic")) {
			t.Fatalf("Loop panicked with %v", err)
		}
		if r := f.Result(); r.Passed || r.Cause != nfqueuetest.Decided {
			t.Errorf("%+v", r)
		}
		if f != next { // the queue is still of use
			f = next
			go loop()
		}
	}
}
