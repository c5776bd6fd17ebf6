// SPDX-License-Identifier: GPL-2.0-or-later

// Package netlab makes small networks inside one process, for tests, demonstrations and
// measurements on the real kernel: network namespaces (Host), veth pairs and bridges between them
// (Connect, AddBridge), ready topologies (NewPair, NewRouted, NewBridged), and nf_tables rules that
// queue packets (Table, Chain, Rule). Everything goes through netlink; no program needs to be
// installed. Nothing outside the namespaces is touched, and everything vanishes with the process.
//
// A program calls Enter first. It returns at once for a process with the capabilities; otherwise it
// runs the program again in a user namespace of its own, so root is not needed where the kernel
// lets users make those.
//
// The package exists on Linux only.
package netlab
