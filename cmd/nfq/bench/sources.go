// SPDX-License-Identifier: GPL-2.0-or-later

// Package bench holds the sources of the programs in C that "nfq bench" compares with, so that the binary can compile
// them wherever it is.
package bench

import "embed"

// C is the directory c.
//
//go:embed c
var C embed.FS
