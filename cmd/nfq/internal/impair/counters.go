// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import "time"

// Counters count packets by their fate.
type Counters struct {
	// Packets and Bytes (of IP packets) that arrived.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Passed packets have left, with PassedBytes after cutting. Waiting ones have not left yet.
	Passed      uint64 `json:"passed"`
	PassedBytes uint64 `json:"passed_bytes"`
	Waiting     uint64 `json:"waiting"`
	// Lost packets were dropped by chance, Full ones because Settings.Limit packets waited.
	Lost uint64 `json:"lost"`
	Full uint64 `json:"full"`
	// Of those that go on: damaged, cut, and sent ahead of others.
	Corrupted uint64 `json:"corrupted"`
	Truncated uint64 `json:"truncated"`
	Reordered uint64 `json:"reordered"`
	// Late is how long after their time packets went on.
	Late Lateness `json:"late"`
}

// Lateness is how long after their time packets went on. Those that were not to be delayed are not
// counted.
type Lateness struct {
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
}
