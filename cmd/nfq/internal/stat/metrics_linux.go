// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is a prometheus.Collector that reads the kernel's tables when it is asked.
type Metrics struct {
	mu      sync.Mutex
	reader  *Reader
	decided map[uint16]decided
}

// decided is what was last said of the packets of a queue that got a verdict.
type decided struct {
	portID, count uint32
}

// NewMetrics makes a collector of what r reads. It uses r alone from then on.
func NewMetrics(
	r *Reader,
) *Metrics {
	return &Metrics{reader: r, decided: make(map[uint16]decided)}
}

var (
	backlogDesc = prometheus.NewDesc("nfqueue_backlog_packets",
		"Packets that wait for a verdict.", []string{"queue"}, nil)
	packetsDesc = prometheus.NewDesc("nfqueue_packets_total",
		"Packets given an id since the queue was bound; includes those dropped at the socket.",
		[]string{"queue"}, nil)
	decidedDesc = prometheus.NewDesc("nfqueue_decided_packets_total",
		"Packets that got a verdict since the queue was bound.", []string{"queue"}, nil)
	droppedDesc = prometheus.NewDesc(
		"nfqueue_dropped_packets_total",
		"Packets dropped since the queue was bound, because the queue or the receive buffer of the socket was full.",
		[]string{"queue", "where"},
		nil,
	)
	copyRangeDesc = prometheus.NewDesc("nfqueue_copy_range_bytes",
		"How much of each packet is copied at most.", []string{"queue"}, nil)
	infoDesc = prometheus.NewDesc("nfqueue_queue_info",
		"A bound queue and who has bound it; always 1.",
		[]string{"queue", "port_id", "pid", "process", "copy_mode"}, nil)
	unreadDesc = prometheus.NewDesc("nfqueue_socket_unread_bytes",
		"Used part of the receive buffer of a socket that has bound queues, in the kernel's count.",
		[]string{"port_id"}, nil)
)

// Describe sends all that Collect may.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, packetsDesc, decidedDesc, droppedDesc,
		copyRangeDesc, infoDesc, unreadDesc} {
		out <- d
	}
}

// Collect reads the kernel's tables. The scrape fails if that does.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.reader.Read()
	if err != nil {
		out <- prometheus.NewInvalidMetric(backlogDesc, err)
		return
	}
	counter := func(d *prometheus.Desc, n uint32, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n uint32, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	sockets := make(map[uint32]bool)
	for _, q := range s.Queues {
		queue, port := number(uint32(q.Queue)), number(q.PortID)
		gauge(backlogDesc, q.Backlog, queue)
		counter(packetsDesc, q.LastID, queue)
		counter(decidedDesc, m.countDecided(q), queue)
		counter(droppedDesc, q.QueueDropped, queue, "queue")
		counter(droppedDesc, q.SocketDropped, queue, "socket")
		gauge(copyRangeDesc, q.CopyRange, queue)
		var pid, process string
		if len(q.Owners) > 0 {
			pid, process = strconv.Itoa(q.Owners[0].PID), printable(q.Owners[0].Name)
		}
		gauge(infoDesc, 1, queue, port, pid, process, q.CopyMode)
		if !sockets[q.PortID] {
			sockets[q.PortID] = true
			gauge(unreadDesc, q.SocketUnread, port)
		}
	}
}

// countDecided returns how many packets got a verdict. The kernel counts while it is read, so that
// this may be less than a moment ago, which Prometheus would take for a new start.
func (m *Metrics) countDecided(q Queue) uint32 {
	const backwards = 1 << 31
	now := decided{q.PortID, q.Decided}
	if before, ok := m.decided[q.Queue]; ok && before.portID == now.portID &&
		now.count-before.count >= backwards &&
		before.count < backwards {
		now.count = before.count
	}
	m.decided[q.Queue] = now
	return now.count
}
