// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
)

// accept lets every packet pass.
var accept = nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept })

// Drop DNS queries until interrupted, and let everything else pass.
func ExampleRun() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	handler := func(p *nfqueue.Packet) nfqueue.Verdict {
		if flow, ok := p.Flow(); ok && flow.HasPorts() && flow.DstPort == 53 {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	}
	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(handler))
	if err != nil {
		log.Fatal(err)
	}
}

// Tell apart why a queue cannot be opened.
func ExampleOpen() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 5, MaxLen: 4096, Flags: nfqueue.FailOpen})
	switch {
	case errors.Is(err, nfqueue.ErrQueueInUse):
		log.Fatal("another program has the queue: ", err)
	case errors.Is(err, fs.ErrPermission):
		log.Fatal("CAP_NET_ADMIN is missing: ", err)
	case errors.Is(err, errors.ErrUnsupported):
		log.Fatal("the kernel lacks NFQUEUE, or a flag: ", err)
	case err != nil:
		log.Fatal(err)
	}
	defer q.Close()
	if err := q.Serve(context.Background(), accept); err != nil {
		log.Fatal(err)
	}
}

// Every error of a queue names the operation and the queue.
func ExampleOpError() {
	k, end := inMemory()
	defer end()
	k.SetPrivileged(false)

	_, err := k.Open(nfqueue.Config{Queue: 5}) // nfqueue.Open, with the real kernel
	var failed *nfqueue.OpError
	if errors.As(err, &failed) {
		fmt.Println("queue", failed.Queue, failed.Op)
	}
	fmt.Println("privileges are missing:", errors.Is(err, fs.ErrPermission))
	// Output:
	// queue 5 open
	// privileges are missing: true
}

// Verdicts that the kernel would refuse, or mistake for others, are errors.
func ExampleVerdict() {
	fmt.Println(nfqueue.Drop, nfqueue.Accept, nfqueue.Repeat, nfqueue.Stop)
	fmt.Println(nfqueue.ToQueue(7))
	fmt.Println(nfqueue.ToQueueOrAccept(7))
	n, ok := nfqueue.ToQueue(7).Queue()
	fmt.Println(n, ok)
	// Output:
	// drop accept repeat stop
	// queue 7
	// queue 7 bypass
	// 7 true
}
