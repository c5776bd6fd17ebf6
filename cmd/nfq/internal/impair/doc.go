// SPDX-License-Identifier: GPL-2.0-or-later

// Package impair makes a network worse on purpose: it loses, delays, reorders, slows down, corrupts
// and truncates the packets of a queue, as netem does those of a network device.
//
// Engine decides the fate of each packet and does nothing else. Handler carries out its decisions
// for the packets of a queue, Session runs one for each direction of a set of rules, and Schedule
// changes the Settings as time goes by.
//
// Handler and Session exist on Linux only.
package impair
