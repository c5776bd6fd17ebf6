// SPDX-License-Identifier: GPL-2.0-or-later

// Package connection decides connections instead of packets: a Handler sees the first
// bytes of each connection, in order, and answers once. A Tracker is the nfqueue.Handler
// that follows the connections and applies the answers:
//
//	t := connection.New(connection.Config{Hold: true}, connection.HandlerFunc(
//		func(c *connection.Conn) connection.Answer {
//			request, _, whole := bytes.Cut(c.Bytes(connection.Original), []byte("\r\n"))
//			switch {
//			case !whole:
//				return connection.More
//			case bytes.HasPrefix(request, []byte("GET ")):
//				return connection.Accept
//			}
//			return connection.Reject
//		}))
//	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, t)
//
// TCP is put together from segments that come out of order, twice, or overlap; of other
// protocols the packets between two ends are a conversation. An ICMP error belongs to the
// connection that it is about. A queue should see both directions of TCP, see Config.OneWay.
//
// A Tracker is bounded in every respect, see Config. A connection that exceeds a limit
// before it is decided gets Config.Fallback, and is counted.
//
// Config.Offload has the kernel carry on with decided connections, so that their packets
// do not reach the queue any more.
package connection
