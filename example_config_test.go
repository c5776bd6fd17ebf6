// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"github.com/chifflier/nfqueue-go"
)

// Go on after a handler has panicked. Its packet gets the Fallback.
func ExampleConfig_onPanic() {
	config := nfqueue.Config{
		Fallback: nfqueue.Accept,
		OnPanic:  func(p *nfqueue.PanicError) { fmt.Println("panic:", p.Value) }, // p.Stack says where
	}
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID() == 1 {
			panic("not a packet that I can read")
		}
		return nfqueue.Drop
	})
	k, end := inMemory()
	defer end()
	k.Serve(config, handler) // nfqueue.Run, with the real kernel

	fmt.Println("first:", k.Send(0, datagram(1024, "")).Result().Verdict)
	fmt.Println("second:", k.Send(0, datagram(1024, "")).Result().Verdict)
	// Unordered output:
	// panic: not a packet that I can read
	// first: accept
	// second: drop
}

// Report verdicts that the kernel has refused.
func ExampleConfig_onRefused() {
	refused := make(chan *nfqueue.VerdictError, 1)
	config := nfqueue.Config{OnRefused: func(e *nfqueue.VerdictError) {
		select {
		case refused <- e:
		default: // it must not block
		}
	}}
	k, end := inMemory()
	defer end()
	q := k.Serve(config, accept) // nfqueue.Run, with the real kernel

	k.RefuseVerdict(0, fs.ErrPermission)
	waits := k.Send(0, datagram(1024, ""))
	e := <-refused
	fmt.Println("packet", e.ID, "lacked CAP_NET_ADMIN:", errors.Is(e, fs.ErrPermission))
	fmt.Println("counted:", q.Stats().Refused)

	q.Close() // which the packet waits for
	fmt.Println(waits.Result().Cause)
	// Output:
	// packet 1 lacked CAP_NET_ADMIN: true
	// counted: 1
	// the queue was closed
}

// Accept packets that do not fit into the queue.
func ExampleConfig_flags() {
	k, end := inMemory()
	defer end()
	// With the real kernel this is nfqueue.Open.
	q, err := k.Open(nfqueue.Config{MaxLen: 1, Flags: nfqueue.FailOpen})
	if err != nil {
		log.Fatal(err)
	}
	waits, passes := k.Send(0, datagram(1024, "")), k.Send(0, datagram(1024, ""))
	fmt.Println("second:", passes.Result().Passed)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	drop := func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop }
	if err := q.Serve(ctx, nfqueue.HandlerFunc(drop)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("first:", waits.Result().Passed)
	// Output:
	// second: true
	// first: false
}

// Change a queue while packets flow.
func ExampleQueue_SetFlags() {
	k, end := inMemory()
	defer end()
	q := k.Serve(nfqueue.Config{}, accept) // nfqueue.Run, with the real kernel

	overload := q.SetFlags(nfqueue.FailOpen, nfqueue.FailOpen) // switch it on
	length := q.SetMaxLen(8192)
	headers := q.SetCopy(nfqueue.CopyPacket, 128)
	fmt.Println(overload, length, headers)
	// Output: <nil> <nil> <nil>
}
