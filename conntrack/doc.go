// SPDX-License-Identifier: GPL-2.0-or-later

// Package conntrack has the types in which package nfqueue returns and changes connection
// tracking entries: Entry and what it holds, and Expectation. It does no I/O. nfqueue.Packet has
// the methods: Conntrack and ConnState return the entry of a packet's connection and the packet's
// State, the SetConn methods, SetExpect and AdjustSequence change the connection with a verdict.
//
// Names and numbers are those of linux/netfilter/nf_conntrack_common.h, nf_conntrack_tcp.h and
// nfnetlink_conntrack.h.
package conntrack
