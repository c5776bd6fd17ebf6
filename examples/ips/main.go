// SPDX-License-Identifier: GPL-2.0-or-later

// Command ips is an intrusion prevention system in small: it looks at the first message of
// every forwarded TCP connection, and rejects the connection if one of the given texts is in it.
// The message is held until it is whole, and the kernel carries on with what is decided.
//
//	go build && sudo ./ips evil.example /etc/passwd
//
// The kernel spreads connections over two queues, each of which is served on two
// goroutines, and each of these has a tracker of its own.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/httphost"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
	"github.com/chifflier/nfqueue-go/rules"
)

const (
	queues  = 2
	workers = 2 // of each queue
)

// sensor is a handler for all workers: it keeps nothing.
type sensor struct{ texts [][]byte }

// ServeConn implements connection.Handler.
func (s sensor) ServeConn(c *connection.Conn) connection.Answer {
	message := c.Bytes(connection.Original)
	for _, text := range s.texts {
		if bytes.Contains(message, text) {
			log.Printf("rejected %v: %q", c.Flow(), text)
			return connection.Reject
		}
	}
	if c.News()&connection.Conflict != 0 {
		log.Printf("rejected %v: two copies of a segment differ", c.Flow())
		return connection.Reject
	}
	if len(message) == 0 && len(c.Bytes(connection.Reply)) == 0 || unfinished(message) {
		return connection.More
	}
	return connection.Accept
}

// unfinished reports whether a message is the beginning of one that is known.
func unfinished(message []byte) bool {
	_, tls := tlshello.Parse(message)
	_, http := httphost.Parse(message)
	return len(message) > 0 && (tls == inspect.More || http == inspect.More)
}

// run rejects until ctx ends.
func run(ctx context.Context, s sensor) error {
	rule, err := rules.Parse(fmt.Sprintf("forward tcp queue 0-%d offload", queues-1))
	if err != nil {
		return err
	}
	g, err := nfqueue.OpenGroup(nfqueue.Config{}, queues)
	if err != nil {
		return err
	}
	defer g.Close()
	set, err := rules.Install(rules.Config{}, rule)
	if err != nil {
		return err
	}
	defer set.Close()
	// When ctx ends, the rule goes first, so that no packet is queued while those that wait are
	// decided.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() {
		if err := set.Stop(); err != nil {
			log.Print(err)
		}
		end()
	})()

	cfg := connection.Config{Hold: true, Offload: rule.Offload}
	var trackers []*connection.Tracker
	err = g.ServeFlows(serving, workers, func(uint16, int) nfqueue.Handler {
		t := connection.New(cfg, s)
		trackers = append(trackers, t)
		return t
	})
	var sum connection.Stats
	for _, t := range trackers {
		sum = sum.Add(t.Stats())
	}
	log.Printf("%d connections: %d accepted, %d rejected", sum.Opened, sum.Accepted, sum.Rejected)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s sensor
	for _, text := range os.Args[1:] {
		s.texts = append(s.texts, []byte(text))
	}
	if err := run(ctx, s); err != nil {
		log.Fatal(err)
	}
}
