// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// closingProgram has the form of many programs for the cgo package: one goroutine closes the queue,
// removes the rules and exits, while Loop runs on another, whose return ends the program.
func closingProgram() {
	fatal := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	host, err := netlab.Current()
	fatal(err)
	table, err := host.AddTable(netlab.IP, "closing")
	fatal(err)
	chain, err := table.AddChain("base", netlab.Output, 0, netlab.PolicyAccept)
	fatal(err)
	_, err = chain.AddRule(netlab.L4Proto(udp), netlab.DstPort(port),
		netlab.ToQueue(netlab.Queue{Num: 5}))
	fatal(err)

	q := new(Queue)
	q.SetCallback(func(p *Payload) int { p.SetVerdict(NF_ACCEPT); return 0 })
	q.Init()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	fatal(q.CreateQueue(5))
	go func() {
		<-interrupted
		q.Close()
		fatal(table.Delete())
		fmt.Println("clean")
		os.Exit(0)
	}()
	log.Fatal(q.Loop())
}

// A program of that form leaves no rule behind. The rule would drop packets that nobody decides.
func TestProgramCleansUp(t *testing.T) {
	for range 4 {
		l := newLab(t)
		p := labtest.Start(t, l.Client, 1)
		l.Send(t, "through the queue")
		l.Arrive(t, "through the queue")
		p.Interrupt(t, "clean")
		l.Send(t, "no rule is left")
		l.Arrive(t, "no rule is left")
	}
}
