// SPDX-License-Identifier: GPL-2.0-or-later

// Command prometheus serves queue 0 and exports its statistics.
//
//	iptables -A INPUT -p udp -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./prometheus 127.0.0.1:9100
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
	"strconv"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// collector reads the statistics of a queue when it is asked for them.
type collector struct {
	queue                                      *nfqueue.Queue
	received, bytes, verdicts, fallbacks, lost *prometheus.Desc
}

func newCollector(q *nfqueue.Queue) *collector {
	queue := prometheus.Labels{"queue": strconv.Itoa(int(q.Number()))}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("nfqueue_"+name+"_total", help, labels, queue)
	}
	return &collector{
		queue:     q,
		received:  desc("received_packets", "Packets read from the queue."),
		bytes:     desc("received_bytes", "Bytes of them that were copied."),
		verdicts:  desc("verdicts", "Verdicts given, by kind.", "verdict"),
		fallbacks: desc("fallbacks", "Verdicts that no handler gave, by cause.", "cause"),
		lost:      desc("lost_packets", "Packets that did not fit into the receive buffer."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, descs)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	s := c.queue.Stats()
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(c.received, s.Received)
	count(c.bytes, s.Bytes)
	count(c.verdicts, s.Accepted, "accept")
	count(c.verdicts, s.Dropped, "drop")
	count(c.fallbacks, s.Fallback.Panic, "panic")
	count(c.fallbacks, s.Fallback.Expired, "expired")
	count(c.lost, s.Lost)
}

func run(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	q, err := nfqueue.Open(nfqueue.Config{Queue: 0})
	if err != nil {
		return err
	}
	defer q.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(q))
	server := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	defer server.Close()
	go server.Serve(l)
	return q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		return nfqueue.Accept // what the program is for
	}))
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: prometheus ADDRESS:PORT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
