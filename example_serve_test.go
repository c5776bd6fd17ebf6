// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Serve until a context ends. Packets that wait in the queue then are still decided.
func ExampleQueue_Serve() {
	k, end := inMemory()
	defer end()

	q, err := k.Open(nfqueue.Config{Queue: 0}) // nfqueue.Open, with the real kernel
	if err != nil {
		log.Fatal(err)
	}
	for _, body := range []string{"one", "two", "three"} {
		k.Send(0, datagram(1024, body))
	}

	ctx, cancel := context.WithCancel(context.Background())
	err = q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		fmt.Printf("%d: %s\n", p.ID(), p.Payload()[28:])
		cancel() // by a signal, usually
		return nfqueue.Accept
	}))
	fmt.Println("ended with", err)
	// Output:
	// 1: one
	// 2: two
	// 3: three
	// ended with <nil>
}

// End a queue without losing the packets that wait in it.
func ExampleQueue_Shutdown() {
	k, end := inMemory()
	defer end()

	// With the real kernel this is nfqueue.Open.
	q, err := k.Open(nfqueue.Config{Queue: 0, Fallback: nfqueue.Accept})
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- q.Serve(context.Background(), accept) }()
	fmt.Println(k.Send(0, datagram(1024, "first")).Result().Verdict)
	waiting := k.Send(0, datagram(1024, "last"))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := q.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(waiting.Result().Verdict, <-served)
	// Output:
	// accept
	// accept <nil>
}

// Count packets by flow on two goroutines, without locks: all packets of a flow, in both
// directions, come to the same one.
func ExampleQueue_ServeFlows() {
	k, end := inMemory()
	defer end()
	q, err := k.Open(nfqueue.Config{Queue: 0}) // nfqueue.Open, with the real kernel
	if err != nil {
		log.Fatal(err)
	}
	for i := range uint16(6) {
		k.Send(0, datagram(1024+i%3, "body"))
	}

	const workers = 2
	counts := make([]map[uint16]int, workers) // by source port
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // so that it ends when the six are decided
	err = q.ServeFlows(ctx, workers, func(worker int) nfqueue.Handler {
		mine := make(map[uint16]int)
		counts[worker] = mine
		return nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			flow, _ := p.Flow()
			mine[flow.SrcPort]++
			return nfqueue.Accept
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	maps.Copy(counts[0], counts[1])
	for _, port := range slices.Sorted(maps.Keys(counts[0])) {
		fmt.Println("port", port, counts[0][port])
	}
	// Output:
	// port 1024 2
	// port 1025 2
	// port 1026 2
}

// Serve the four queues of "-j NFQUEUE --queue-balance 0:3", or of nft's "queue to 0-3",
// each on a goroutine of its own and with state of its own.
func ExampleOpenGroup() {
	g, err := nfqueue.OpenGroup(nfqueue.Config{Fallback: nfqueue.Accept}, 4)
	if err != nil {
		log.Fatal(err)
	}
	err = g.ServeEach(context.Background(), func(queue uint16) nfqueue.Handler {
		seen := 0
		return nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			if seen++; seen%1_000_000 == 0 {
				log.Println("queue", queue, "has seen", seen)
			}
			return nfqueue.Accept
		})
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Hand a queue over to a new process of the program without losing a packet. The whole program is
// in examples/upgrade.
func ExampleQueue_File() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0})
	if err != nil {
		log.Fatal(err)
	}
	go q.Serve(context.Background(), accept)

	socket, err := q.File()
	if err != nil {
		log.Fatal(err)
	}
	successor := exec.Command(os.Args[0], "--take-over") // which calls ExampleOpenFile
	successor.ExtraFiles = []*os.File{socket}
	if err := successor.Start(); err != nil {
		log.Fatal(err)
	}
	socket.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := q.Release(ctx); err != nil {
		log.Fatal(err)
	}
}

// Take over a queue from the process that started this one.
func ExampleOpenFile() {
	socket := os.NewFile(3, "queue") // the first of ExtraFiles
	q, err := nfqueue.OpenFile(socket, nfqueue.Config{Queue: 0})
	if err != nil {
		log.Fatal(err)
	}
	socket.Close()
	if err := q.Serve(context.Background(), accept); err != nil {
		log.Fatal(err)
	}
}
