// SPDX-License-Identifier: GPL-2.0-or-later

// Package stat tells which queues are bound, by which process, and how they are doing: as a table,
// as JSON and as metrics for Prometheus. It exists on Linux only.
package stat
