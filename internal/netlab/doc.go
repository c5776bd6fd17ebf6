// SPDX-License-Identifier: GPL-2.0-or-later

// Package netlab makes small networks inside one process, for tests, demonstrations and
// measurements on the real kernel: network namespaces (Host), veth pairs and bridges between them
// (Connect, AddBridge), complete topologies (NewPair, NewRouted, NewBridged, NewZones), and
// nf_tables rules that queue packets (Table, Chain, Rule). It uses netlink and needs no other
// program. It changes nothing outside the namespaces, and everything vanishes with the process.
//
// A program calls Enter first. If the process has the capabilities, Enter returns at once;
// otherwise it runs the program again in a new user namespace. Where the kernel lets users make
// those, root is not needed.
//
// The package exists on Linux only.
package netlab
