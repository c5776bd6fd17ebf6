// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package fakekernel

// Error numbers of socket calls, of asm-generic/errno.h.
const (
	EMSGSIZE = int32(90)
	ENOBUFS  = int32(105)
)
