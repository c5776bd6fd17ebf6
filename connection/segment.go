// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go"
)

// The flags of a TCP header (RFC 9293 section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_ // PSH
	flagACK
)

// segment is the part of a packet that a connection carries. Of protocols other than TCP
// only the body is set.
type segment struct {
	body     []byte
	seq, ack uint32
	flags    uint8
	cut      bool // there is more in body that was not copied
}

// newSegment reads a packet that holds its whole transport header.
func newSegment(t *nfqueue.Transport) segment {
	s := segment{body: t.Body, cut: t.Truncated}
	if t.Protocol == nfqueue.TCP {
		s.seq, s.ack = binary.BigEndian.Uint32(t.Header[4:]), binary.BigEndian.Uint32(t.Header[8:])
		s.flags = t.Header[13]
	}
	return s
}
