// SPDX-License-Identifier: GPL-2.0-or-later

// Package probe finds out what the kernel's NFQUEUE can do and what the caller may do with it, and
// what is wrong with the rules and queues of a network namespace. It exists on Linux only.
package probe
