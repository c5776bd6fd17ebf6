// SPDX-License-Identifier: GPL-2.0-or-later

// Package rewrite tests on the real kernel that packets with a replaced payload arrive, intact.
package rewrite
