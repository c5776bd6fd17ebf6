// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"context"
	"fmt"
	"log"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/httphost"
	"github.com/chifflier/nfqueue-go/rules"
)

// Requests for a host are rejected before the server has seen a byte of them. The kernel
// carries on with all other connections.
func Example() {
	rule, err := rules.Parse("forward tcp port 80 offload")
	if err != nil {
		log.Fatal(err)
	}
	set, err := rules.Install(rules.Config{}, rule)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()

	decide := func(c *connection.Conn) connection.Answer {
		request, status := httphost.Parse(c.Bytes(connection.Original))
		switch {
		case c.Middle() && len(c.Bytes(connection.Reply)) > 0: // its request was before the program
			return connection.Accept
		case status == inspect.More:
			return connection.More
		case status == inspect.Malformed, string(request.Host) == "ads.example":
			return connection.Reject
		}
		return connection.Accept
	}
	cfg := connection.Config{Hold: true, Offload: rule.Offload}
	t := connection.New(cfg, connection.HandlerFunc(decide))
	if err := nfqueue.Run(context.Background(), nfqueue.Config{}, t); err != nil {
		log.Fatal(err)
	}
}

// Each worker of ServeFlows has a Tracker of its own. Their Stats add up.
func ExampleTracker_Stats() {
	q, err := nfqueue.Open(nfqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	accept := connection.HandlerFunc(func(*connection.Conn) connection.Answer { return connection.Accept })
	var trackers [4]*connection.Tracker
	for i := range trackers {
		trackers[i] = connection.New(connection.Config{}, accept)
	}
	err = q.ServeFlows(context.Background(), len(trackers),
		func(i int) nfqueue.Handler { return trackers[i] })
	var sum connection.Stats
	for _, t := range trackers {
		sum = sum.Add(t.Stats())
	}
	fmt.Println(sum.Opened, "connections,", sum.Dropped, "dropped", err)
}
