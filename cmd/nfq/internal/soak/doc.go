// SPDX-License-Identifier: GPL-2.0-or-later

// Package soak serves queues in a flood for as long as one likes, with handlers, ends and
// faults chosen at random, and keeps books that must balance to the packet. It is behind
// nfq bench soak and exists on Linux only.
package soak
