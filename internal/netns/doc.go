// SPDX-License-Identifier: GPL-2.0-or-later

// Package netns finds network namespaces as users name them, and runs functions in them. It exists on Linux only.
package netns
