// SPDX-License-Identifier: GPL-2.0-or-later

// Package labtest is netlab for tests. It skips a test, or fails it, if the kernel refuses, and
// cleans up when the test ends.
//
// The package exists on Linux only.
package labtest
