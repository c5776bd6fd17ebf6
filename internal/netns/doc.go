// SPDX-License-Identifier: GPL-2.0-or-later

// Package netns runs functions in network namespaces, and opens the namespaces that users name.
// It exists on Linux only.
package netns
