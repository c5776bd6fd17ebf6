// SPDX-License-Identifier: GPL-2.0-or-later

// Package flood tests queues of the real kernel under a flood of packets: overload, and everything
// that can go wrong meanwhile.
package flood
