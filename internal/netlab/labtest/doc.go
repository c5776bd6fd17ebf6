// SPDX-License-Identifier: GPL-2.0-or-later

// Package labtest brings netlab into tests: it skips, or fails, where the kernel refuses, and
// cleans up by itself.
//
// The package exists on Linux only.
package labtest
