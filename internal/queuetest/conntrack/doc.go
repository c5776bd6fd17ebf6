// SPDX-License-Identifier: GPL-2.0-or-later

// Package conntrack tests what the real kernel tells of connections, and what verdicts change in
// them.
package conntrack
