// SPDX-License-Identifier: GPL-2.0-or-later

// Package blackbox tests nfq as its users meet it: as a program with arguments, streams, signals
// and exit codes.
package blackbox
