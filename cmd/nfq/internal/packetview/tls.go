// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"slices"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/quicinitial"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
)

// tls is the TLS message that a segment, or a connection of QUIC, begins with.
type tls struct {
	Message    string `json:"message"`
	ServerName string `json:"server_name,omitempty"`            // of a ClientHello
	Encrypted  bool   `json:"encrypted_client_hello,omitempty"` // the ClientHello has another one inside
	Malformed  bool   `json:"malformed,omitempty"`
}

// newTLS returns nil if b does not begin with a ClientHello or a ServerHello. The name may
// be there when the end is not: a ClientHello with keys that resist quantum computers
// does not fit in one segment.
func newTLS(b []byte) *tls {
	const record, handshake, serverHello = 5, 22, 2
	if len(b) < record+4 || b[0] != handshake || b[1] != 3 {
		return nil
	}
	h, status := tlshello.Parse(b)
	switch {
	case status != inspect.Other:
		return newHello(h, status)
	case b[record] == serverHello:
		return &tls{Message: "ServerHello"}
	}
	return nil
}

// newQUIC returns the ClientHello in a datagram of a QUIC client, nil if there is none.
func newQUIC(b []byte) *tls {
	h, status := quicinitial.Parse(slices.Values([][]byte{b}))
	if status == inspect.Other || status == inspect.More && h.ServerName == nil {
		return nil
	}
	return newHello(h, status)
}

func newHello(h tlshello.Hello, status inspect.Status) *tls {
	return &tls{"ClientHello", printable(h.ServerName), h.Encrypted, status == inspect.Malformed}
}

func (t *tls) text() string {
	s := t.Message
	if t.ServerName != "" {
		s += " for " + t.ServerName
	}
	if t.Encrypted {
		s += ", another one encrypted"
	}
	if t.Malformed {
		s += ", malformed"
	}
	return s
}
