// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom_test

import (
	"context"
	"log"
	"net/http"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueueprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Export the queues of a group.
func ExampleNewCollector() {
	group, err := nfqueue.OpenGroup(nfqueue.Config{Queue: 0, Histograms: true}, 4)
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(nfqueueprom.NewCollector(group.Queues()...))
	http.Handle("/metrics", promhttp.Handler())
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9100", nil)) }()
	err = group.Serve(context.Background(), nfqueue.HandlerFunc(
		func(p *nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	if err != nil {
		log.Print(err)
	}
}

// Export the connections of all workers of a queue, and the queue.
func ExampleNewConnectionCollector() {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	accept := connection.HandlerFunc(func(*connection.Conn) connection.Answer {
		return connection.Accept // what the program is for
	})
	trackers := make([]*connection.Tracker, 4)
	for i := range trackers {
		trackers[i] = connection.New(connection.Config{}, accept)
	}
	prometheus.MustRegister(
		nfqueueprom.NewCollector(q),
		nfqueueprom.NewConnectionCollector(trackers...))
	http.Handle("/metrics", promhttp.Handler())
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9100", nil)) }()
	err = q.ServeFlows(context.Background(), len(trackers),
		func(i int) nfqueue.Handler { return trackers[i] })
	if err != nil {
		log.Print(err)
	}
}
