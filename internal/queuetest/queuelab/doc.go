// SPDX-License-Identifier: GPL-2.0-or-later

// Package queuelab has what the tests of queues share: handlers, a Serve that runs in the
// background, a check of the counters, and, on Linux, hosts with sockets and rules for the real
// kernel.
package queuelab
