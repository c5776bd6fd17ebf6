// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"slices"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/httphost"
)

// maxHTTPLine bounds the text that a packet can put on the screen.
const maxHTTPLine = 200

// httpLine returns the request line or status line of an HTTP/1 message that b begins with, "" if
// it does not.
func httpLine(b []byte) string {
	b = bytes.TrimLeft(b, "\r\n")
	if !bytes.HasPrefix(b, []byte("HTTP/1.")) && !isRequest(b) {
		return ""
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > maxHTTPLine {
		return printable(line[:maxHTTPLine]) + "..."
	}
	return printable(line)
}

// httpMethods are those of RFC 9110 section 9 and RFC 5789: a line that is cut behind
// another first word is not taken for HTTP.
var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE",
	"PATCH"}

// isRequest reports whether b begins with a request line, or with a part of one.
func isRequest(b []byte) bool {
	if _, status := httphost.Parse(b); status == inspect.Other {
		return false
	}
	method, _, ok := bytes.Cut(b, []byte(" "))
	return bytes.IndexByte(b, '\n') >= 0 || ok && slices.Contains(httpMethods, string(method))
}
