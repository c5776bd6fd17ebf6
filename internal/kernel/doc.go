// SPDX-License-Identifier: GPL-2.0-or-later

// Package kernel holds facts of the Linux kernel that several packages need: its error numbers, its
// version, and how much memory it charges for a queued packet. The error numbers and the charges
// also serve programs for other systems, whose queues talk to a kernel in memory.
package kernel
