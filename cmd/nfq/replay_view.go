// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
)

// replayView shows packets that were replayed.
type replayView struct {
	out   io.Writer
	json  *json.Encoder // nil for text
	first time.Time
	total replaySummary
}

// replayLine is a packet of the file.
type replayLine struct {
	Number      int        `json:"number"`
	Time        *time.Time `json:"time,omitempty"`
	Protocol    string     `json:"protocol"`
	Source      string     `json:"source,omitempty"`
	Destination string     `json:"destination,omitempty"`
	Length      int        `json:"length"`             // of the packet without link header
	Captured    int        `json:"captured,omitempty"` // of these, if they are fewer
	Queued      bool       `json:"queued"`
	Verdict     string     `json:"verdict,omitempty"` // of a packet that is queued
	Mark        uint32     `json:"mark,omitempty"`
	TookNS      int64      `json:"took_ns,omitempty"` // by the handler
}

// replaySummary counts the packets of the file.
type replaySummary struct {
	Packets    int   `json:"packets"`
	Queued     int   `json:"queued"`
	Accepted   int   `json:"accepted"`
	Dropped    int   `json:"dropped"`
	NotMatched int   `json:"not_matched"`
	NotIP      int   `json:"not_ip"`
	TookNS     int64 `json:"took_ns"`
	LongestNS  int64 `json:"longest_ns"`
}

func newReplayView(out io.Writer, asJSON bool) *replayView {
	v := &replayView{out: out}
	if asJSON {
		v.json = json.NewEncoder(out)
	}
	return v
}

// packet shows a packet, and counts it.
func (v *replayView) packet(r nfqueuetest.Replayed, queued bool) error {
	v.count(r, queued)
	l := replayLine{Number: r.Number, Length: max(len(r.Spec.Payload), r.Spec.FullLen), Queued: queued, Mark: r.Mark}
	l.Protocol, l.Source, l.Destination = describe(r)
	if n := len(r.Spec.Payload); n < l.Length {
		l.Captured = n
	}
	if !r.Spec.Time.IsZero() {
		l.Time = &r.Spec.Time
	}
	if queued {
		l.Verdict, l.TookNS = r.Verdict.String(), r.Took.Nanoseconds()
	}
	if v.json != nil {
		return v.json.Encode(l)
	}
	return v.line(l, r.Spec.Time)
}

const replayFormat = "%6v  %12s  %-24s  %-24s  %-18s  %6v  %9s  %s\n"

func (v *replayView) line(l replayLine, at time.Time) error {
	if v.total.Packets == 1 {
		v.first = at
		if _, err := fmt.Fprintf(v.out, replayFormat, "PACKET", "TIME", "SOURCE", "DESTINATION", "PROTOCOL", "LENGTH", "HANDLER", "VERDICT"); err != nil {
			return err
		}
	}
	when, took, verdict := "-", "-", "not queued"
	if l.Time != nil {
		when = fmt.Sprintf("%.6f", at.Sub(v.first).Seconds())
	}
	if l.Queued {
		took, verdict = time.Duration(l.TookNS).Round(10*time.Nanosecond).String(), l.Verdict
	}
	if l.Mark != 0 {
		verdict += fmt.Sprintf(", mark %#x", l.Mark)
	}
	if l.Captured != 0 {
		verdict += fmt.Sprintf(", %d bytes captured", l.Captured)
	}
	_, err := fmt.Fprintf(v.out, replayFormat, l.Number, when, l.Source, l.Destination, l.Protocol, l.Length, took, verdict)
	return err
}

func (v *replayView) count(r nfqueuetest.Replayed, queued bool) {
	t := &v.total
	t.Packets++
	switch {
	case r.Cause == nfqueuetest.NotIP:
		t.NotIP++
		return
	case !queued:
		t.NotMatched++
		return
	case r.Passed:
		t.Accepted++
	default:
		t.Dropped++
	}
	t.Queued++
	t.TookNS += r.Took.Nanoseconds()
	t.LongestNS = max(t.LongestNS, r.Took.Nanoseconds())
}

// summary shows what all packets come to.
func (v *replayView) summary() error {
	t := v.total
	if v.json != nil {
		return v.json.Encode(struct {
			Summary replaySummary `json:"summary"`
		}{t})
	}
	_, err := fmt.Fprintf(v.out, "\n%d packets: %d queued (%d accepted, %d dropped), %d not matched by the rule, %d not IP; the handler took %v, at most %v for one\n",
		t.Packets, t.Queued, t.Accepted, t.Dropped, t.NotMatched, t.NotIP, time.Duration(t.TookNS), time.Duration(t.LongestNS))
	return err
}

// describe tells protocol and ends of a packet.
func describe(r nfqueuetest.Replayed) (protocol, source, destination string) {
	if t := r.Spec.EtherType; t != 0x0800 && t != 0x86dd {
		return fmt.Sprintf("ethertype %#04x", t), "", ""
	}
	flow, err := ippkt.FlowOf(r.Spec.Payload)
	if err != nil && !flow.Src.IsValid() {
		return "not readable", "", ""
	}
	protocol = rules.Protocol(flow.Protocol).String()
	switch p := rules.Protocol(flow.Protocol); {
	case flow.Fragment:
		protocol += " fragment"
	case (p == rules.ICMP || p == rules.ICMPv6) && !flow.NoTransport:
		protocol += fmt.Sprintf(" type %d code %d", flow.ICMPType, flow.ICMPCode)
	}
	source, destination = flow.Ends()
	return protocol, source, destination
}
