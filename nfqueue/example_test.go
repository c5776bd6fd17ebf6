// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go/internal/exampletb"
	"github.com/chifflier/nfqueue-go/nfqueue"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// A program for the cgo package needs no change.
func Example() {
	q := new(nfqueue.Queue)
	q.SetCallback(func(p *nfqueue.Payload) int {
		fmt.Println(p.Id, len(p.Data))
		p.SetVerdict(nfqueue.NF_ACCEPT)
		return 0
	})
	q.Init()
	defer q.Close()
	q.Unbind(syscall.AF_INET)
	q.Bind(syscall.AF_INET)
	if err := q.CreateQueue(0); err != nil {
		log.Fatal(err)
	}

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		q.StopLoop()
	}()
	q.Loop()
	q.DestroyQueue()
}

// Decide one packet after the other.
func ExampleQueue_Loop() {
	t := new(exampletb.T)
	defer t.End()
	k := nfqueuetest.NewKernel(t)

	q := new(nfqueue.Queue)
	nfqueue.InitInMemory(q, k) // q.Init(), with the real kernel
	defer q.Close()
	q.SetCallback(func(p *nfqueue.Payload) int {
		fmt.Printf("packet %d, mark %d\n", p.Id, p.GetNFMark())
		if p.Id == 2 {
			q.StopLoop()
		}
		if err := p.SetVerdict(nfqueue.NF_ACCEPT); err != nil {
			log.Print(err)
		}
		return 0
	})
	if err := q.CreateQueue(0); err != nil {
		log.Fatal(err)
	}
	first, second := k.Send(0, nfqueuetest.Spec{Mark: 1}), k.Send(0, nfqueuetest.Spec{Mark: 2})
	fmt.Println(q.Loop())
	fmt.Println(first.Result().Verdict, second.Result().Verdict)
	// Output:
	// packet 1, mark 1
	// packet 2, mark 2
	// <nil>
	// accept accept
}

// Replace a packet. The caller sets lengths and checksums; nfqueue.Packet.SetPayload of package
// github.com/chifflier/nfqueue-go does that itself.
func ExamplePayload_SetVerdictModified() {
	t := new(exampletb.T)
	defer t.End()
	k := nfqueuetest.NewKernel(t)

	q := new(nfqueue.Queue)
	nfqueue.InitInMemory(q, k) // q.Init(), with the real kernel
	defer q.Close()
	q.SetCallback(func(p *nfqueue.Payload) int {
		changed := bytes.ReplaceAll(p.Data, []byte("nfqueuetest"), []byte("NFQUEUETEST"))
		changed[26], changed[27] = 0, 0 // no UDP checksum
		if err := p.SetVerdictModified(nfqueue.NF_ACCEPT, changed); err != nil {
			log.Print(err)
		}
		q.StopLoop()
		return 0
	})
	if err := q.CreateQueue(0); err != nil {
		log.Fatal(err)
	}
	sent := k.Send(0, nfqueuetest.Spec{})
	q.Loop()
	fmt.Printf("%s\n", sent.Result().Payload[28:])
	// Output: NFQUEUETEST
}
