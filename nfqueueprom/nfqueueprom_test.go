// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueueprom

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
)

// scrape returns what a registry exports.
func scrape(t *testing.T, r prometheus.Gatherer) string {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := promlint.New(bytes.NewReader(b.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	return b.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}

// collectorOf collects statistics of queue 3.
func collectorOf(stats func() nfqueue.Stats) *collector {
	return &collector{[]*queueMetrics{newQueueMetrics(3, stats)}}
}

// fill gives each number a value of its own, which it appends to values.
func fill(v reflect.Value, values *[]uint64) {
	next := uint64(1001 + 7*len(*values))
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), values)
		}
	case reflect.Uint64, reflect.Uint32:
		v.SetUint(next)
		*values = append(*values, next)
	case reflect.Int, reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() { // exported in seconds
			return
		}
		v.SetInt(int64(next))
		*values = append(*values, next)
	}
}

// TestComplete: every number of Stats is exported once, also one that is new.
func TestComplete(t *testing.T) {
	s := nfqueue.Stats{Kernel: &nfqueue.KernelQueue{}}
	var values []uint64
	fill(reflect.ValueOf(&s).Elem(), &values)
	fill(reflect.ValueOf(s.Kernel).Elem(), &values)
	port := fmt.Sprint(s.Kernel.PortID) // no number of packets
	s.BusyPolled = 1500 * time.Millisecond
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectorOf(func() nfqueue.Stats { return s }))
	text := scrape(t, r)
	for _, v := range values {
		n := len(regexp.MustCompile(fmt.Sprintf(`(?m) %d$`, v)).FindAllString(text, -1))
		if n != 1 && fmt.Sprint(v) != port {
			t.Errorf("%d is exported %d times", v, n)
		}
	}
	wantLines(t, text,
		fmt.Sprintf(`nfqueue_verdicts_total{queue="3",verdict="repeat"} %d`, s.Repeated),
		fmt.Sprintf(`nfqueue_fallbacks_total{cause="send",queue="3"} %d`, s.Fallback.Send),
		fmt.Sprintf(`nfqueue_dropped_packets_total{queue="3",where="socket"} %d`,
			s.Kernel.UserDropped),
		fmt.Sprintf(`nfqueue_looped_verdicts_total{queue="3"} %d`, s.Looped),
		`nfqueue_busy_poll_seconds_total{queue="3"} 1.5`)
	if strings.Contains(text, "duration") {
		t.Errorf("there are histograms without Config.Histograms:\n%s", text)
	}
}

// TestWithoutKernel: what the kernel does not tell is left out, and is not 0.
func TestWithoutKernel(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectorOf(func() nfqueue.Stats { return nfqueue.Stats{} }))
	text := scrape(t, r)
	wantLines(t, text, `nfqueue_received_packets_total{queue="3"} 0`)
	for _, v := range kernelValues {
		if strings.Contains(text, "nfqueue_"+v.name) {
			t.Errorf("%s is exported", v.name)
		}
	}
}

// TestHistogram: buckets are cumulative, and the last one has no bound.
func TestHistogram(t *testing.T) {
	h := &nfqueue.Histogram{Sum: 3 * time.Second}
	h.Buckets[0], h.Buckets[2], h.Buckets[len(h.Buckets)-1] = 1, 2, 3
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectorOf(func() nfqueue.Stats {
		return nfqueue.Stats{HandlerTime: h, DecideTime: &nfqueue.Histogram{}}
	}))
	wantLines(t, scrape(t, r),
		`nfqueue_handler_duration_seconds_bucket{queue="3",le="2.5e-07"} 1`,
		`nfqueue_handler_duration_seconds_bucket{queue="3",le="5e-07"} 1`,
		`nfqueue_handler_duration_seconds_bucket{queue="3",le="1e-06"} 3`,
		`nfqueue_handler_duration_seconds_bucket{queue="3",le="8.388608"} 3`,
		`nfqueue_handler_duration_seconds_bucket{queue="3",le="+Inf"} 6`,
		`nfqueue_handler_duration_seconds_sum{queue="3"} 3`,
		`nfqueue_handler_duration_seconds_count{queue="3"} 6`,
		`nfqueue_decide_duration_seconds_count{queue="3"} 0`)
}

// TestQueues: several queues share a collector, or have one each, and are collected also after
// their end.
func TestQueues(t *testing.T) {
	for _, together := range []bool{true, false} {
		k := nfqueuetest.NewKernel(t)
		accept := nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept
		})
		five := k.Serve(nfqueue.Config{Queue: 5, Histograms: true}, accept)
		six := k.Serve(nfqueue.Config{Queue: 6}, accept)
		r := prometheus.NewPedanticRegistry()
		if together {
			r.MustRegister(NewCollector(five, six))
		} else {
			r.MustRegister(NewCollector(five), NewCollector(six))
		}
		if err := r.Register(NewCollector(six)); err == nil && !together {
			t.Error("a queue is registered twice")
		}
		for range 3 {
			k.Send(5, nfqueuetest.Spec{}).Result()
		}
		k.Send(6, nfqueuetest.Spec{}).Result()
		lines := []string{
			`nfqueue_verdicts_total{queue="5",verdict="accept"} 3`,
			`nfqueue_verdicts_total{queue="6",verdict="accept"} 1`,
			`nfqueue_packets_total{queue="5"} 3`,
			`nfqueue_handler_duration_seconds_count{queue="5"} 3`,
			`nfqueue_decide_duration_seconds_count{queue="5"} 3`,
		}
		wantLines(t, scrape(t, r), lines...)
		if err := five.Close(); err != nil {
			t.Error(err)
		}
		wantLines(t, scrape(t, r), lines...)
	}
}

// TestDocumented: the comment of the package lists the metrics that there are.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("nfqueueprom.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^//\t(nfqueue_\w+)`).FindAllSubmatch(text, -1) {
		listed[string(m[1])] = true
	}
	r := prometheus.NewPedanticRegistry()
	h := &nfqueue.Histogram{}
	r.MustRegister(collectorOf(func() nfqueue.Stats {
		return nfqueue.Stats{Kernel: &nfqueue.KernelQueue{}, HandlerTime: h, DecideTime: h}
	}), NewConnectionCollector())
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !listed[f.GetName()] {
			t.Errorf("%s is not listed", f.GetName())
		}
		delete(listed, f.GetName())
	}
	for name := range listed {
		t.Errorf("%s does not exist", name)
	}
}
