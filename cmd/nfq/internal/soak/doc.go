// SPDX-License-Identifier: GPL-2.0-or-later

// Package soak serves queues in a flood for a chosen time, with random handlers, ends and faults,
// and checks that the counts balance to the packet. nfq bench soak runs it. It exists on Linux
// only.
package soak
