// SPDX-License-Identifier: GPL-2.0-or-later

// Package fault tests what a queue does when things go wrong between it and a kernel in memory. The
// tests run on every operating system, in bubbles of testing/synctest where time matters.
package fault
