// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom

import (
	"slices"
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

// part is one of the values of a metric that a label tells apart.
type part[S any] struct {
	is string
	of func(s *S) uint64
}

func byLabel[S any](name, help, label string, parts ...part[S]) (values []value[S]) {
	for _, p := range parts {
		values = append(values,
			value[S]{name, label, p.is, help, func(s *S) float64 { return float64(p.of(s)) }})
	}
	return values
}

// kernelValues need Stats.Kernel. nfq stat exports them too, with the same names and help.
var kernelValues = slices.Concat(
	[]value[nfqueue.Stats]{
		{
			name: "backlog_packets", help: "Packets that wait for a verdict.",
			of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.Backlog) },
		},
		{
			name: "packets_total", help: "Packets given an id since the queue was bound; " +
				"includes those dropped at the socket.",
			of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.LastID) },
		},
	},
	byLabel("dropped_packets_total", "Packets dropped since the queue was bound, because the queue "+
		"or the receive buffer of the socket was full.", "where",
		part[nfqueue.Stats]{"queue",
			func(s *nfqueue.Stats) uint64 { return uint64(s.Kernel.QueueDropped) }},
		part[nfqueue.Stats]{"socket",
			func(s *nfqueue.Stats) uint64 { return uint64(s.Kernel.UserDropped) }}),
	[]value[nfqueue.Stats]{
		{
			name: "copy_range_bytes", help: "How much of each packet is copied at most.",
			of: func(s *nfqueue.Stats) float64 { return float64(s.Kernel.CopyRange) },
		},
	},
)

// values are all others.
var values = slices.Concat(
	[]value[nfqueue.Stats]{
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
	},
	byLabel("verdicts_total", "Verdicts given, by kind.", "verdict",
		part[nfqueue.Stats]{"accept", func(s *nfqueue.Stats) uint64 { return s.Accepted }},
		part[nfqueue.Stats]{"drop", func(s *nfqueue.Stats) uint64 { return s.Dropped }},
		part[nfqueue.Stats]{"repeat", func(s *nfqueue.Stats) uint64 { return s.Repeated }},
		part[nfqueue.Stats]{"stop", func(s *nfqueue.Stats) uint64 { return s.Stopped }},
		part[nfqueue.Stats]{"queue", func(s *nfqueue.Stats) uint64 { return s.Requeued }}),
	[]value[nfqueue.Stats]{
		{
			name: "verdict_datagrams_total", help: "Datagrams in which verdicts were sent.",
			of: func(s *nfqueue.Stats) float64 { return float64(s.Sends) },
		},
	},
	byLabel("ineffective_verdicts_total", "Verdicts that had no effect, by cause.", "cause",
		part[nfqueue.Stats]{"too_late", func(s *nfqueue.Stats) uint64 { return s.TooLate }},
		part[nfqueue.Stats]{"refused", func(s *nfqueue.Stats) uint64 { return s.Refused }},
		part[nfqueue.Stats]{"unsent", func(s *nfqueue.Stats) uint64 { return s.Unsent }}),
	[]value[nfqueue.Stats]{
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
	},
	byLabel("fallbacks_total", "Verdicts that no handler gave, by cause.", "cause",
		part[nfqueue.Stats]{"panic", func(s *nfqueue.Stats) uint64 { return s.Fallback.Panic }},
		part[nfqueue.Stats]{"invalid", func(s *nfqueue.Stats) uint64 { return s.Fallback.Invalid }},
		part[nfqueue.Stats]{"malformed", func(s *nfqueue.Stats) uint64 { return s.Fallback.Malformed }},
		part[nfqueue.Stats]{"truncated", func(s *nfqueue.Stats) uint64 { return s.Fallback.Truncated }},
		part[nfqueue.Stats]{"expired", func(s *nfqueue.Stats) uint64 { return s.Fallback.Expired }},
		part[nfqueue.Stats]{"shutdown", func(s *nfqueue.Stats) uint64 { return s.Fallback.Shutdown }},
		part[nfqueue.Stats]{"send", func(s *nfqueue.Stats) uint64 { return s.Fallback.Send }},
		part[nfqueue.Stats]{"backlog", func(s *nfqueue.Stats) uint64 { return s.Fallback.Backlog }}),
	[]value[nfqueue.Stats]{
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
	},
)
