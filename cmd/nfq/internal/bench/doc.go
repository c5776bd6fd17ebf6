// SPDX-License-Identifier: GPL-2.0-or-later

// Package bench measures programs that decide the packets of a queue, on the real kernel and in
// network namespaces of its own: this package's Queue, in one process with the measurement or in
// another, and the programs in C of bench/c. All are given the same queue length and receive
// buffer, the same packets, and the same processor. See Run.
//
// The figures are for comparing what was measured in one run, not from one machine to another.
package bench
