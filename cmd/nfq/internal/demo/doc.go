// SPDX-License-Identifier: GPL-2.0-or-later

// Package demo shows on the real kernel what a queue does. A client and a server, in network
// namespaces of their own, exchange ICMP echo, UDP, DNS and TCP over IPv4 and IPv6 through a router
// whose forward hook queues every packet. A handler accepts, drops, rewrites and marks them, and
// what the far end received is compared, byte for byte, with what the verdicts allow.
//
// The package exists on Linux only.
package demo
