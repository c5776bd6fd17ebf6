// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom

import (
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/prometheus/client_golang/prometheus"
)

// value is a metric with one number, and how it is read from statistics.
type value[S any] struct {
	name      string // without its prefix
	label, is string // besides that of the queue, if any
	help      string
	of        func(s *S) float64
}

// desc describes the metric with the label of a queue, unless queue is "".
func (v *value[S]) desc(queue string) *prometheus.Desc {
	labels := make(prometheus.Labels)
	if queue != "" {
		labels["queue"] = queue
	}
	if v.label != "" {
		labels[v.label] = v.is
	}
	return prometheus.NewDesc("nfqueue_"+v.name, v.help, nil, labels)
}

func (v *value[S]) kind() prometheus.ValueType {
	if strings.HasSuffix(v.name, "_total") {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

// descs describes values.
func descs[S any](values []value[S], queue string) []*prometheus.Desc {
	d := make([]*prometheus.Desc, len(values))
	for i := range values {
		d[i] = values[i].desc(queue)
	}
	return d
}

// send sends values, which descs describes, of s.
func send[S any](out chan<- prometheus.Metric, descs []*prometheus.Desc, values []value[S], s *S) {
	for i, v := range values {
		out <- prometheus.MustNewConstMetric(descs[i], v.kind(), v.of(s))
	}
}

// Help of metrics with several values.
const (
	dropped = "Packets dropped since the queue was bound, because the queue or the receive " +
		"buffer of the socket was full."
	verdicts    = "Verdicts given, by kind."
	ineffective = "Verdicts that had no effect, by cause."
	fallbacks   = "Verdicts that no handler gave, by cause."
)

// kernelValues need Stats.Kernel. nfq stat exports them too, with the same names and help.
var kernelValues = []value[nfqueue.Stats]{
	{
		name: "backlog_packets", help: "Packets that wait for a verdict.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.Backlog) },
	},
	{
		name: "packets_total", help: "Packets given an id since the queue was bound; " +
			"includes those dropped at the socket.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.LastID) },
	},
	{
		name: "dropped_packets_total", label: "where", is: "queue", help: dropped,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.QueueDropped) },
	},
	{
		name: "dropped_packets_total", label: "where", is: "socket", help: dropped,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.UserDropped) },
	},
	{
		name: "copy_range_bytes", help: "How much of each packet is copied at most.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.CopyRange) },
	},
}

// values are all others.
var values = []value[nfqueue.Stats]{
	{
		name: "socket_unread_bytes", help: "Used part of the receive buffer, in the " +
			"kernel's count.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.ReadBufferUsed) },
	},
	{
		name: "socket_buffer_bytes", help: "Size of the receive buffer, in the kernel's count.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.ReadBuffer) },
	},
	{
		name: "received_packets_total", help: "Packets received from the queue.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Received) },
	},
	{
		name: "received_bytes_total", help: "Bytes of the received packets that were copied.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Bytes) },
	},
	{
		name: "receive_batches_total", help: "Receive calls that brought something.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Batches) },
	},
	{
		name: "receive_errors_total", help: "Receive calls that failed and were tried again.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.ReceiveErrors) },
	},
	{
		name: "busy_poll_seconds_total", help: "Time spent polling an empty socket.",
		of: func(s *nfqueue.Stats) float64 { return s.BusyPolled.Seconds() },
	},
	{
		name: "lost_packets_total", help: "Packets that left a gap in the ids, because " +
			"they did not fit into the receive buffer.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Lost) },
	},
	{
		name: "malformed_messages_total", help: "Messages without a usable packet id.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Malformed) },
	},
	{
		name: "verdicts_total", label: "verdict", is: "accept", help: verdicts,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Accepted) },
	},
	{
		name: "verdicts_total", label: "verdict", is: "drop", help: verdicts,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Dropped) },
	},
	{
		name: "verdicts_total", label: "verdict", is: "repeat", help: verdicts,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Repeated) },
	},
	{
		name: "verdicts_total", label: "verdict", is: "stop", help: verdicts,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Stopped) },
	},
	{
		name: "verdicts_total", label: "verdict", is: "queue", help: verdicts,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Requeued) },
	},
	{
		name: "verdict_datagrams_total", help: "Datagrams in which verdicts were sent.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Sends) },
	},
	{
		name: "ineffective_verdicts_total", label: "cause", is: "too_late", help: ineffective,
		of: func(s *nfqueue.Stats) float64 { return float64(s.TooLate) },
	},
	{
		name: "ineffective_verdicts_total", label: "cause", is: "refused", help: ineffective,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Refused) },
	},
	{
		name: "ineffective_verdicts_total", label: "cause", is: "unsent", help: ineffective,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Unsent) },
	},
	{
		name: "ignored_verdicts_total", help: "Verdicts that a handler returned for " +
			"packets resolved before.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.AlreadyResolved) },
	},
	{
		name: "looped_verdicts_total", help: "Verdicts that sent an unchanged packet to " +
			"its queue again, from the hundredth on.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Looped) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "panic", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Panic) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "invalid", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Invalid) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "malformed", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Malformed) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "truncated", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Truncated) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "expired", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Expired) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "shutdown", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Shutdown) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "send", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Send) },
	},
	{
		name: "fallbacks_total", label: "cause", is: "backlog", help: fallbacks,
		of: func(s *nfqueue.Stats) float64 { return float64(s.Fallback.Backlog) },
	},
	{
		name: "deferred_packets_total", help: "Packets deferred.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Deferred) },
	},
	{
		name: "held_packets", help: "Deferred packets that wait to be resolved.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Held) },
	},
	{
		name: "undecided_packets", help: "Packets that were received, have no verdict and " +
			"are not held.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Undecided()) },
	},
	{
		name: "abandoned_packets_total", help: "Packets that had no verdict when the queue " +
			"was closed.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.Abandoned) },
	},
	{
		name: "failed_connection_changes_total", help: "Changes of a connection that " +
			"failed because the queue lacks the flag Conntrack.",
		of: func(s *nfqueue.Stats) float64 { return float64(s.WithoutConntrack) },
	},
}
