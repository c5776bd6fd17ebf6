// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import "encoding/binary"

// tls is the TLS message that a segment begins with (RFC 8446).
type tls struct {
	Message    string `json:"message"`
	ServerName string `json:"server_name,omitempty"` // of a ClientHello, RFC 6066
}

const (
	tlsHandshake   = 22
	tlsClientHello = 1
	tlsServerHello = 2
	extServerName  = 0
)

// newTLS returns nil if b does not begin with a ClientHello or a ServerHello. What follows the name of the server
// may be missing: a ClientHello with keys that resist quantum computers does not fit in one segment.
func newTLS(b []byte) *tls {
	const record = 5
	if len(b) < record+4 || b[0] != tlsHandshake || b[1] != 3 {
		return nil
	}
	switch b[record] {
	case tlsClientHello:
		return &tls{"ClientHello", serverName(b[record+4:])}
	case tlsServerHello:
		return &tls{Message: "ServerHello"}
	}
	return nil
}

// serverName finds the name in a ClientHello without its header.
func serverName(b []byte) string {
	r := reader(b)
	r.skip(2 + 32)     // version, random
	r.skip(r.uint8())  // session
	r.skip(r.uint16()) // cipher suites
	r.skip(r.uint8())  // compression methods
	all := r.uint16()  // extensions
	r = r[:min(all, len(r))]
	for len(r) > 0 {
		typ, n := r.uint16(), r.uint16()
		if typ != extServerName {
			r.skip(n)
			continue
		}
		r.skip(2 + 1) // length of the list, type of its first entry
		n = r.uint16()
		if n > len(r) {
			return ""
		}
		return printable(r[:n])
	}
	return ""
}

// reader takes from bytes that may end too early; it then gives zeros.
type reader []byte

func (r *reader) skip(n int) { *r = (*r)[min(n, len(*r)):] }

func (r *reader) uint8() int {
	b := *r
	r.skip(1)
	if len(b) < 1 {
		return 0
	}
	return int(b[0])
}

func (r *reader) uint16() int {
	b := *r
	r.skip(2)
	if len(b) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(b))
}

func (t *tls) text() string {
	if t.ServerName == "" {
		return "TLS " + t.Message
	}
	return "TLS " + t.Message + " for " + t.ServerName
}
