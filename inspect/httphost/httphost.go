// SPDX-License-Identifier: GPL-2.0-or-later

// Package httphost reads the host from an HTTP/1 request (RFC 9112).
package httphost

import (
	"bytes"

	"github.com/chifflier/nfqueue-go/inspect"
)

// Request is what the header of a request says. All of it are parts of what was parsed.
type Request struct {
	// Method and Target are those of the request line.
	Method, Target []byte
	// Host is the host of the target, or else of the Host field, without the port. It is
	// nil if neither is there, as in HTTP/1.0. IPv6 addresses are in brackets.
	Host []byte
}

// maxMethod bounds the length of a method: the longest in the IANA registry has 17.
const maxMethod = 32

// ends are what some take for the end of a line or of a text, and others do not (RFC 9110 section
// 5.5).
const ends = "\r\x00"

// notInHost are characters that servers read differently in a host. Some decode percent-encoded
// names (RFC 3986 section 3.2.2), others do not.
const notInHost = " \t,/\\@?#%"

// Parse reads the request that a stream begins with. With More, Host is set already if it
// was seen. Nothing is allocated.
func Parse(stream []byte) (r Request, status inspect.Status) {
	b := stream
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') { // RFC 9112 section 2.2
		b = b[1:]
	}
	line, rest, whole := cutLine(b)
	if !r.requestLine(line, whole) {
		return Request{}, inspect.Other
	}
	if !whole {
		return Request{}, inspect.More
	}
	if bytes.ContainsAny(r.Target, ends+" \t") {
		return Request{}, inspect.Malformed
	}
	fromTarget := authority(r.Method, r.Target)
	if bytes.ContainsAny(fromTarget, notInHost) {
		return Request{}, inspect.Malformed
	}
	r.Host = hostOf(fromTarget)
	named := false // by a Host field
	for {
		line, rest, whole = cutLine(rest)
		switch {
		case !whole:
			return r, inspect.More
		case len(line) == 0:
			return r, inspect.Complete
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		// Neither a folded line nor a blank before the colon is understood by all in the
		// same way.
		if !ok || !isToken(name) || bytes.ContainsAny(value, ends) {
			return Request{}, inspect.Malformed
		}
		if !bytes.EqualFold(name, []byte("Host")) {
			continue
		}
		if named {
			return Request{}, inspect.Malformed // RFC 9112 section 3.2
		}
		named = true
		field := bytes.Trim(value, " \t")
		if bytes.ContainsAny(field, notInHost) {
			return Request{}, inspect.Malformed
		}
		if len(fromTarget) == 0 { // RFC 9112 section 3.2.2
			r.Host = hostOf(field)
		}
	}
}

// cutLine returns the line that b begins with, without its end, and what follows. The
// line may not be whole.
func cutLine(b []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(b, []byte("\n"))
	if whole {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	return line, rest, whole
}

// requestLine reads a request line. It reports whether it is one, or may become one when
// it is whole.
func (r *Request) requestLine(line []byte, whole bool) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if len(method) > maxMethod || len(line) > 0 && !isToken(method) || whole && !ok {
		return false
	}
	if !whole {
		return true
	}
	at := bytes.LastIndexByte(rest, ' ')
	if at <= 0 {
		return false
	}
	r.Method, r.Target = method, rest[:at]
	version := rest[at+1:]
	return len(version) == len("HTTP/1.1") && bytes.HasPrefix(version, []byte("HTTP/1.")) &&
		version[7] >= '0' && version[7] <= '9'
}

// authority returns the authority of a target in absolute form, or of CONNECT; nil if
// there is none.
func authority(method, target []byte) []byte {
	if string(method) == "CONNECT" {
		return target
	}
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok || len(scheme) == 0 || bytes.ContainsAny(scheme, "/?#") {
		return nil
	}
	if end := bytes.IndexAny(rest, "/?#\\"); end >= 0 {
		rest = rest[:end]
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return rest
}

// hostOf returns an authority without its port.
func hostOf(authority []byte) []byte {
	colon := bytes.LastIndexByte(authority, ':')
	if colon < 0 || bytes.IndexByte(authority[colon:], ']') >= 0 {
		return authority
	}
	return authority[:colon]
}

// isToken reports whether b is a token (RFC 9110 section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
