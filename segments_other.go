// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package nfqueue

import "github.com/chifflier/nfqueue-go/internal/transport"

func cutsReplacedUDP(transport.Conn) bool { return true }
