// SPDX-License-Identifier: GPL-2.0-or-later

// Package inspect has what the parsers below it share. Each of them reads from the first
// bytes of a connection who or what it is for:
//
//   - tlshello: the server name of a TLS ClientHello;
//   - quicinitial: the same, from the first packets of QUIC;
//   - httphost: the host of an HTTP/1 request;
//   - dnsquestion: the question of a DNS message.
//
// They are functions of bytes that anybody may have sent: they do not panic, keep nothing, and are
// safe for concurrent use.
package inspect

import "github.com/chifflier/nfqueue-go/internal/word"

// Status says what a parser has found.
type Status uint8

const (
	// More means that the bytes are the beginning of a message, and that the rest is
	// needed.
	More Status = iota
	// Complete means that the message is there and was understood.
	Complete
	// Other means that the bytes are of another protocol.
	Other
	// Malformed means that the bytes are of the protocol, but break its rules. Each receiver may
	// understand them in its own way.
	Malformed
)

var statusNames = [...]string{"more", "complete", "other", "malformed"}

// String returns "more", "complete", "other" or "malformed".
func (s Status) String() string { return word.Name(uint8(s), statusNames[:], "status") }
