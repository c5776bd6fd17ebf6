// SPDX-License-Identifier: GPL-2.0-or-later

// Package packetview shows packets that went through a queue: a line for each as
// tcpdump prints them (Printer), and an object for each in JSON (AppendJSON). A
// Record holds a packet with what the kernel said about it and what was decided.
//
// Bytes of packets are never written as they are: what is not printable is escaped.
package packetview
