// SPDX-License-Identifier: GPL-2.0-or-later

// Package queuerules finds the rules in the kernel that send packets to queues, whichever program
// has made them: those of nf_tables, with its own expression or with the target of xtables, and
// those of the older tables of iptables. It exists on Linux only.
package queuerules
