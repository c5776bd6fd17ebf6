// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"slices"
)

// httpMethods are those of RFC 9110 section 9 and RFC 5789. A protocol with another
// first word is not taken for HTTP.
var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// maxHTTPLine bounds the text that a packet can put on the screen.
const maxHTTPLine = 200

// httpLine returns the request line or status line of an HTTP/1 message that b begins with, "" if it does not.
func httpLine(b []byte) string {
	line, _, whole := bytes.Cut(b[:min(len(b), 4096)], []byte("\r\n"))
	first, rest, _ := bytes.Cut(line, []byte(" "))
	status := bytes.HasPrefix(first, []byte("HTTP/1."))
	request := slices.Contains(httpMethods, string(first)) && (!whole || bytes.Contains(rest, []byte(" HTTP/")))
	if !status && !request || len(rest) == 0 {
		return ""
	}
	if len(line) > maxHTTPLine {
		return printable(line[:maxHTTPLine]) + "..."
	}
	return printable(line)
}
