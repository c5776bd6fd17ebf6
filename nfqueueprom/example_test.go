// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom_test

import (
	"context"
	"log"
	"net/http"

	"github.com/chifflier/nfqueue-go"
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
