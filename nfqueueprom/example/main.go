// SPDX-License-Identifier: GPL-2.0-or-later

// Command example serves queue 0 and exports its statistics to Prometheus.
//
//	iptables -A INPUT -p udp -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./example 127.0.0.1:9100
//	curl http://127.0.0.1:9100/metrics
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueueprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func run(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0, Histograms: true})
	if err != nil {
		return err
	}
	defer q.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(nfqueueprom.NewCollector(q))
	server := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	defer server.Close()
	go server.Serve(l)
	return q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept // what the program is for
	}))
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: example ADDRESS:PORT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
