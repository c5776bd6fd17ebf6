// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"fmt"
	"log"

	"github.com/chifflier/nfqueue-go"
)

// Count the verdicts, and the packets that were lost before they could be decided.
func ExampleQueue_Stats() {
	handler := nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Mark() == 1 {
			return nfqueue.Drop
		}
		return nfqueue.Accept
	})
	k, end := inMemory()
	defer end()
	q := k.Serve(nfqueue.Config{}, handler) // nfqueue.Run, with the real kernel
	k.Overrun(0, 2)                         // the receive buffer has no room for two packets
	for i := range uint32(5) {
		s := datagram(1024, "")
		s.Mark = i % 2
		k.Send(0, s).Result()
	}

	s := q.Stats()
	fmt.Println("received", s.Received, "accepted", s.Accepted, "dropped", s.Dropped, "lost", s.Lost)
	fmt.Println("balanced:", s.Received == s.Verdicts()+s.Held+s.Undecided()+s.Abandoned)
	// Output:
	// received 3 accepted 2 dropped 1 lost 2
	// balanced: true
}

// List the bound queues of the network namespace, including those of other processes.
func ExampleKernelQueues() {
	queues, err := nfqueue.KernelQueues()
	if err != nil {
		log.Fatal(err)
	}
	for _, q := range queues {
		fmt.Printf("queue %d: port id %d, %d packets wait, %d lost\n",
			q.Queue, q.PortID, q.Backlog, q.QueueDropped+q.UserDropped)
	}
}
