// SPDX-License-Identifier: GPL-2.0-or-later

// Package corpus records testdata/captures: real protocols between hosts of netlab, through a
// queue. Its tests make the recordings, and keep them if an environment variable says where; see
// testdata/captures/README.md. Package quic, below, is a module of its own.
//
// The package exists on Linux only.
package corpus
