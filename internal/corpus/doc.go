// SPDX-License-Identifier: GPL-2.0-or-later

// Package corpus records testdata/captures: real protocols, spoken by hosts of netlab
// through a queue. The recordings are made by its tests, and are kept if those are told
// where; see testdata/captures/README.md. Package quic, below, is a module of its own.
//
// The package exists on Linux only.
package corpus
