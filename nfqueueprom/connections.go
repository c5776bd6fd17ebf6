// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom

import (
	"slices"

	"github.com/chifflier/nfqueue-go/connection"
	"github.com/prometheus/client_golang/prometheus"
)

// NewConnectionCollector makes a collector that adds up the statistics of Trackers at each scrape.
// Give it those of all workers and queues of a program. If some have another handler, or other
// rules, register a collector for each kind with prometheus.WrapRegistererWith, which adds a label.
// It is safe for concurrent use, also while the Trackers serve, and after that.
func NewConnectionCollector(trackers ...*connection.Tracker) prometheus.Collector {
	trackers = slices.Clone(trackers)
	return newConnections(func() (sum connection.Stats) {
		for _, t := range trackers {
			sum = sum.Add(t.Stats())
		}
		return sum
	})
}

// connections collects connectionValues.
type connections struct {
	stats func() connection.Stats
	descs []*prometheus.Desc
}

func newConnections(stats func() connection.Stats) *connections {
	return &connections{stats, descs(connectionValues, "")}
}

// Describe implements prometheus.Collector.
func (c *connections) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *connections) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	send(out, c.descs, connectionValues, &s)
}

var connectionValues = slices.Concat(
	[]value[connection.Stats]{
		{name: "connections", help: "Connections that are followed.",
			of: func(s *connection.Stats) float64 { return float64(s.Conns) }},
		{name: "connections_undecided", help: "Connections that are not decided.",
			of: func(s *connection.Stats) float64 { return float64(s.Undecided) }},
		{name: "connections_opened_total", help: "Connections that Trackers began to follow.",
			of: func(s *connection.Stats) float64 { return float64(s.Opened) }},
		{name: "connections_forgotten_total", help: "Connections that made room for others.",
			of: func(s *connection.Stats) float64 { return float64(s.Forgotten) }},
		{name: "connection_held_packets", help: "Packets that are held until the answer.",
			of: func(s *connection.Stats) float64 { return float64(s.Held) }},
		{name: "connection_memory_bytes", help: "Bytes of connections that are kept until the " +
			"answer, or until they are acknowledged.",
			of: func(s *connection.Stats) float64 { return float64(s.Memory) }},
		{name: "connection_stripped_segments_total", help: "Segments that passed without their data.",
			of: func(s *connection.Stats) float64 { return float64(s.Stripped) }},
		{name: "connection_other_packets_total", help: "Packets of no connection.",
			of: func(s *connection.Stats) float64 { return float64(s.Other) }},
	},
	byLabel("connection_answers_total", "Connections by the answer of the handler.", "answer",
		part[connection.Stats]{"accept", func(s *connection.Stats) uint64 { return s.Accepted }},
		part[connection.Stats]{"drop", func(s *connection.Stats) uint64 { return s.Dropped }},
		part[connection.Stats]{"reject", func(s *connection.Stats) uint64 { return s.Rejected }}),
	byLabel("connection_fallbacks_total", "Connections that got the Fallback, by cause.", "cause",
		part[connection.Stats]{"bytes", func(s *connection.Stats) uint64 { return s.Fallback.Bytes }},
		part[connection.Stats]{"packets", func(s *connection.Stats) uint64 { return s.Fallback.Packets }},
		part[connection.Stats]{"time", func(s *connection.Stats) uint64 { return s.Fallback.Time }},
		part[connection.Stats]{"connections", func(s *connection.Stats) uint64 { return s.Fallback.Conns }},
		part[connection.Stats]{"memory", func(s *connection.Stats) uint64 { return s.Fallback.Memory }},
		part[connection.Stats]{"held", func(s *connection.Stats) uint64 { return s.Fallback.Held }},
		part[connection.Stats]{"ended", func(s *connection.Stats) uint64 { return s.Fallback.Ended }},
		part[connection.Stats]{"replaced", func(s *connection.Stats) uint64 { return s.Fallback.Replaced }},
		part[connection.Stats]{"panic", func(s *connection.Stats) uint64 { return s.Fallback.Panic }}),
	byLabel("connection_dropped_segments_total",
		"Segments dropped by neither an answer nor the Fallback, by cause.", "cause",
		part[connection.Stats]{"conflict", func(s *connection.Stats) uint64 { return s.Conflicts }},
		part[connection.Stats]{"repeated", func(s *connection.Stats) uint64 { return s.Repeated }},
		part[connection.Stats]{"ignored", func(s *connection.Stats) uint64 { return s.Ignored }},
		part[connection.Stats]{"unanswered", func(s *connection.Stats) uint64 { return s.Unanswered }}),
)
