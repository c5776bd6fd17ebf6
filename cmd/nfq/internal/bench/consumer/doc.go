// SPDX-License-Identifier: GPL-2.0-or-later

// Package consumer has the programs that bench compares: what decides the packets of a queue, this
// module's in several ways and those in C.
package consumer
