// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

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

// add counts a packet.
func (t *replaySummary) add(r nfqueuetest.Replayed, queued bool) {
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

// show shows what all packets come to.
func (t *replaySummary) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			Summary *replaySummary `json:"summary"`
		}{t})
	}
	_, err := fmt.Fprintf(out, "%d packets: %d queued (%d accepted, %d dropped), %d not matched by the rule, %d not IP; the handler took %v, at most %v for one\n",
		t.Packets, t.Queued, t.Accepted, t.Dropped, t.NotMatched, t.NotIP, time.Duration(t.TookNS), time.Duration(t.LongestNS))
	return err
}
