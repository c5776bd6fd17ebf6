// SPDX-License-Identifier: GPL-2.0-or-later

// Package bridge lets package nfqueuetest open queues over a kernel of its own
// without that being part of the API.
package bridge

import "github.com/chifflier/nfqueue-go/internal/transport"

// OpenOver opens a queue over a connection as nfqueue.Open does over a socket. cfg is
// an nfqueue.Config, the result an *nfqueue.Queue. Package nfqueue sets it.
var OpenOver func(conn transport.Conn, cfg any) (queue any, err error)
