// SPDX-License-Identifier: GPL-2.0-or-later

// Package tlshello reads the server name from a TLS ClientHello (RFC 8446, RFC 6066), in
// as many records and segments as it may come.
package tlshello

import "github.com/chifflier/nfqueue-go/inspect"

// Hello is what a ClientHello says.
type Hello struct {
	// ServerName is the name of the server that the client wants, as it was sent. It is nil
	// if the client names none. It is a part of what was parsed, unless the hello comes in
	// several records.
	ServerName []byte
	// Encrypted means that the hello has another one in it that only the server can read
	// (Encrypted Client Hello, RFC 9849). ServerName is then that of a server in front of
	// the one that is wanted. Clients also send the extension with random content.
	Encrypted bool
}

const (
	recordHandshake  = 22
	recordHeaderLen  = 5
	maxRecord        = 1 << 14
	messageHello     = 1
	messageHeaderLen = 4
	// maxHello is the length of a ClientHello with every field as long as it may be.
	maxHello = 2 + 32 + 1 + 32 + 2 + 65534 + 1 + 255 + 2 + 65535

	extensionServerName = 0
	extensionECH        = 0xfe0d
	hostName            = 0
	outerHello          = 0
)

// Parse reads the ClientHello that a TCP stream begins with. With More the name is set
// already if all of it is there. It only allocates for a hello in several records.
func Parse(stream []byte) (Hello, inspect.Status) {
	var message []byte // what of it is in the records
	rest := stream
	for records := 0; ; records++ {
		fragment, next, status := record(rest)
		if status != inspect.Complete && (status != inspect.More || len(fragment) == 0) {
			if status == inspect.Other && records > 0 {
				status = inspect.Malformed
			}
			if status != inspect.More || records == 0 {
				return Hello{}, status
			}
			return ParseHandshake(message)
		}
		if records == 0 {
			message = fragment[:len(fragment):len(fragment)]
		} else {
			message = append(message, fragment...)
		}
		if status == inspect.More || isWhole(message) {
			return ParseHandshake(message)
		}
		rest = next
	}
}

// record returns what is there of the content of the handshake record that b begins with,
// and what follows it. Servers ignore its version (RFC 8446 section 5.1).
func record(b []byte) (fragment, next []byte, status inspect.Status) {
	switch {
	case len(b) > 0 && b[0] != recordHandshake:
		return nil, nil, inspect.Other
	case len(b) < recordHeaderLen:
		return nil, nil, inspect.More
	}
	n := int(b[3])<<8 | int(b[4])
	b = b[recordHeaderLen:]
	switch {
	case n == 0 || n > maxRecord:
		return nil, nil, inspect.Malformed
	case n > len(b):
		return b, nil, inspect.More
	}
	return b[:n], b[n:], inspect.Complete
}

// isWhole reports whether nothing more is needed of the message that b begins with.
func isWhole(b []byte) bool {
	return len(b) > 0 && b[0] != messageHello ||
		len(b) >= messageHeaderLen && len(b)-messageHeaderLen >= min(messageLen(b), maxHello)
}

func messageLen(b []byte) int { return int(b[1])<<16 | int(b[2])<<8 | int(b[3]) }

// ParseHandshake reads the ClientHello that a stream of handshake messages begins with,
// as that of QUIC is. With More the name is set already if all of it is there. It
// allocates nothing.
func ParseHandshake(message []byte) (h Hello, status inspect.Status) {
	switch {
	case len(message) > 0 && message[0] != messageHello:
		return h, inspect.Other
	case len(message) < messageHeaderLen:
		return h, inspect.More
	case messageLen(message) > maxHello:
		return h, inspect.Malformed
	}
	r := reader{b: message[messageHeaderLen:], n: messageLen(message)}
	h.read(&r)
	if r.malformed {
		return Hello{}, inspect.Malformed
	}
	if r.short || len(r.b) < r.n {
		return h, inspect.More
	}
	return h, inspect.Complete
}

// read reads the body of a ClientHello (RFC 8446 section 4.1.2).
func (h *Hello) read(r *reader) {
	r.skip(2 + 32) // version, random
	r.require(r.skip(r.uint8()) <= 32)
	suites := r.skip(r.uint16())
	r.require(suites >= 2 && suites%2 == 0)
	r.require(r.skip(r.uint8()) >= 1) // compression methods
	if r.failed() || r.n == 0 {
		return // without extensions
	}
	r.require(r.uint16() == r.n)
	var named, hidden bool
	for r.n > 0 && !r.failed() {
		typ := r.uint16()
		body := r.sub(r.uint16())
		cut := len(body.b) < body.n
		switch {
		case r.failed():
		case typ == extensionServerName:
			r.require(!named)
			named = true
			h.serverName(&body)
		case typ == extensionECH:
			r.require(!hidden)
			hidden = true
			h.Encrypted = body.uint8() == outerHello && !body.failed()
		}
		r.malformed = r.malformed || body.malformed
		r.short = r.short || body.short || cut
	}
}

// serverName reads the server_name extension (RFC 6066 section 3).
func (h *Hello) serverName(r *reader) {
	r.require(r.uint16() == r.n)
	for r.n > 0 && !r.failed() {
		typ := r.uint8()
		name := r.sub(r.uint16())
		if r.failed() || typ != hostName {
			continue
		}
		r.require(h.ServerName == nil && name.n > 0)
		if len(name.b) < name.n {
			r.short = true
			return
		}
		h.ServerName = name.b[:name.n:name.n]
	}
}

// reader reads from bytes of which the end may not be there yet.
type reader struct {
	b         []byte // what is there
	n         int    // how many bytes there will be
	short     bool   // more is needed
	malformed bool
}

func (r *reader) failed() bool { return r.short || r.malformed }

// require sets malformed unless what was read is as it must be.
func (r *reader) require(ok bool) {
	if !ok && !r.short {
		r.malformed = true
	}
}

// take returns n bytes, nil if they are not there.
func (r *reader) take(n int) []byte {
	switch {
	case r.failed():
		return nil
	case n > r.n:
		r.malformed = true
		return nil
	case n > len(r.b):
		r.short = true
		return nil
	}
	b := r.b[:n]
	r.b, r.n = r.b[n:], r.n-n
	return b
}

// skip goes on by n bytes, which it returns.
func (r *reader) skip(n int) int {
	r.take(n)
	return n
}

// sub returns a reader for the next n bytes, which need not be there.
func (r *reader) sub(n int) (s reader) {
	if r.failed() || n > r.n {
		r.malformed = r.malformed || !r.short
		return reader{}
	}
	have := min(n, len(r.b))
	s = reader{b: r.b[:have], n: n}
	r.b, r.n = r.b[have:], r.n-n
	return s
}

func (r *reader) uint8() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(b[0])<<8 | int(b[1])
	}
	return 0
}
