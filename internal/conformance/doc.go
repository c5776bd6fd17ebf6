// SPDX-License-Identifier: GPL-2.0-or-later

// Package conformance has tests that run on the kernel in memory and on the real one. They show
// that the first behaves like the second.
//
// TestNetlink compares the answers to netlink messages. TestQueues sends packets through queues and
// checks what arrives.
package conformance
