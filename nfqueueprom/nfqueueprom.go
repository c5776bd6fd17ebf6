// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueueprom exports the statistics of queues and connections to Prometheus.
//
//	q, err := nfqueue.Open(nfqueue.Config{Histograms: true})
//	...
//	prometheus.MustRegister(nfqueueprom.NewCollector(q))
//
// All queues of a group are collected with NewCollector(group.Queues()...). The metrics of a
// queue have its number as the label "queue". A metric that nfq stat exports under the same name
// means the same. The package is a module of its own, so that programs without Prometheus do not
// get its requirements.
//
//	nfqueue_packets_total                     packets that the kernel queued
//	nfqueue_backlog_packets                   packets that wait for a verdict
//	nfqueue_dropped_packets_total             dropped by the kernel; where: queue, socket
//	nfqueue_copy_range_bytes                  how much of a packet is copied at most
//	nfqueue_socket_unread_bytes               used part of the receive buffer
//	nfqueue_socket_buffer_bytes               size of the receive buffer
//	nfqueue_received_packets_total            packets received
//	nfqueue_received_bytes_total              bytes of them that were copied
//	nfqueue_receive_batches_total             receive calls that brought something
//	nfqueue_receive_errors_total              receive calls that failed and were tried again
//	nfqueue_busy_poll_seconds_total           time spent polling, see Config.BusyPoll
//	nfqueue_lost_packets_total                packets that left a gap in the ids
//	nfqueue_malformed_messages_total          messages without a usable id
//	nfqueue_verdicts_total                    verdict: accept, drop, repeat, stop, queue
//	nfqueue_verdict_datagrams_total           datagrams in which they were sent
//	nfqueue_ineffective_verdicts_total        cause: too_late, refused, unsent
//	nfqueue_ignored_verdicts_total            returned for a packet that had its verdict
//	nfqueue_looped_verdicts_total             sent a packet round again and again
//	nfqueue_fallbacks_total                   verdicts that no handler gave; cause: panic,
//	                                          invalid, malformed, truncated, expired, shutdown,
//	                                          send, backlog
//	nfqueue_deferred_packets_total            packets deferred
//	nfqueue_held_packets                      those that still wait for Resolve
//	nfqueue_undecided_packets                 received, without a verdict, and not held
//	nfqueue_abandoned_packets_total           without a verdict when the queue was closed
//	nfqueue_failed_connection_changes_total   need the flag Conntrack
//	nfqueue_handler_duration_seconds          histogram of Stats.HandlerTime
//	nfqueue_decide_duration_seconds           histogram of Stats.DecideTime
//
// The fields of nfqueue.Stats say more of each. The first four are missing when
// Stats.Kernel is nil, the histograms without Config.Histograms.
//
// NewConnectionCollector exports the statistics of package connection, whose Stats say more:
//
//	nfqueue_connections                        connections that are followed
//	nfqueue_connections_undecided              those that are not decided
//	nfqueue_connections_opened_total           connections that Trackers began to follow
//	nfqueue_connections_forgotten_total        made room for others, see Config.MaxConns
//	nfqueue_connection_answers_total           answer: accept, drop, reject
//	nfqueue_connection_fallbacks_total         connections that got the Fallback; cause: bytes,
//	                                           packets, time, connections, memory, held, ended,
//	                                           replaced, panic
//	nfqueue_connection_held_packets            packets held until the answer
//	nfqueue_connection_memory_bytes            bytes of connections that are kept
//	nfqueue_connection_dropped_segments_total  dropped by neither an answer nor the Fallback;
//	                                           cause: conflict, repeated, ignored, unanswered
//	nfqueue_connection_stripped_segments_total passed without their data
//	nfqueue_connection_other_packets_total     packets of no connection
package nfqueueprom

import (
	"strconv"

	"github.com/chifflier/nfqueue-go"
	"github.com/prometheus/client_golang/prometheus"
)

// NewCollector makes a collector of the statistics of queues, which it reads at each scrape. The
// numbers of the queues must differ; with queues of several network namespaces, register one
// collector for each with prometheus.WrapRegistererWith, which adds a label. It is safe for
// concurrent use, and also after the queues were closed.
func NewCollector(queues ...*nfqueue.Queue) prometheus.Collector {
	c := &collector{}
	for _, q := range queues {
		c.queues = append(c.queues, newQueueMetrics(q.Number(), q.Stats))
	}
	return c
}

type collector struct{ queues []*queueMetrics }

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, q := range c.queues {
		for _, d := range q.kernel {
			out <- d
		}
		for _, d := range q.own {
			out <- d
		}
		out <- q.handler
		out <- q.decide
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, q := range c.queues {
		q.collect(out)
	}
}

// queueMetrics are those of one queue.
type queueMetrics struct {
	stats           func() nfqueue.Stats
	kernel, own     []*prometheus.Desc // of kernelValues and values
	handler, decide *prometheus.Desc
}

func newQueueMetrics(number uint16, stats func() nfqueue.Stats) *queueMetrics {
	queue := strconv.Itoa(int(number))
	return &queueMetrics{
		stats:  stats,
		kernel: descs(kernelValues, queue),
		own:    descs(values, queue),
		handler: (&value[nfqueue.Stats]{name: "handler_duration_seconds",
			help: "How long calls of handlers took."}).desc(queue),
		decide: (&value[nfqueue.Stats]{name: "decide_duration_seconds",
			help: "How long it took from receiving a packet to its verdict."}).desc(queue),
	}
}

func (q *queueMetrics) collect(out chan<- prometheus.Metric) {
	s := q.stats()
	if s.Kernel != nil {
		send(out, q.kernel, kernelValues, &s)
	}
	send(out, q.own, values, &s)
	histogram(out, q.handler, s.HandlerTime)
	histogram(out, q.decide, s.DecideTime)
}

// histogram sends h if it is not nil.
func histogram(out chan<- prometheus.Metric, d *prometheus.Desc, h *nfqueue.Histogram) {
	if h == nil {
		return
	}
	buckets, count := make(map[float64]uint64), uint64(0)
	for i, n := range h.Buckets {
		count += n
		if i < len(h.Buckets)-1 { // the last one is +Inf
			buckets[h.Bound(i).Seconds()] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(d, count, h.Sum.Seconds(), buckets)
}
