// SPDX-License-Identifier: GPL-2.0-or-later

// Package queue tests what queues of the real kernel do: verdicts, modes, hooks, limits, live
// changes, groups, flows, hand-over and errors.
package queue
