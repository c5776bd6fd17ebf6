// SPDX-License-Identifier: GPL-2.0-or-later

// Package conformance holds tests that run against the kernel in memory and the real
// one alike, so that what is tested with the first holds for the second.
//
// TestNetlink compares the answers to netlink messages. TestQueues opens queues and
// sends packets through them, and looks at what arrives.
package conformance
