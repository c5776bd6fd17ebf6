// SPDX-License-Identifier: GPL-2.0-or-later

package httphost_test

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/httphost"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		host string
		want inspect.Status
	}{
		{"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "www.example.org", inspect.Complete},
		{"GET / HTTP/1.1\r\nhOsT:www.example.org:8080 \t\r\nX: y\r\n\r\nbody", "www.example.org",
			inspect.Complete},
		{"\r\n\nGET / HTTP/1.1\nHost: lf.example\n\n", "lf.example", inspect.Complete},
		{"POST http://user@abs.example:80/path?http://x HTTP/1.1\r\nHost: other\r\n\r\n", "abs.example",
			inspect.Complete},
		{"OPTIONS http://abs.example HTTP/1.1\r\nHost: other\r\n\r\n", "abs.example", inspect.Complete},
		{"GET /?u=http://abs.example HTTP/1.1\r\nHost: www\r\n\r\n", "www", inspect.Complete},
		{"CONNECT tunnel.example:443 HTTP/1.1\r\nHost: other\r\n\r\n", "tunnel.example",
			inspect.Complete},
		{"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]", inspect.Complete},
		{"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "[2001:db8::1]", inspect.Complete},
		{"GET / HTTP/1.0\r\n\r\n", "", inspect.Complete},
		{"GET / HTTP/1.1\r\nHost: \r\n\r\n", "", inspect.Complete},
		{"M-SEARCH * HTTP/1.1\r\nHost: a\r\n\r\n", "a", inspect.Complete},
		{"GET / HTTP/1.1\r\nHost: early.example\r\nX:", "early.example", inspect.More},
		{"GET / HTTP/1.1\r\nHost: ear", "", inspect.More},
		{"GET / HT", "", inspect.More},
		{"GE", "", inspect.More},
		{"\r\n", "", inspect.More},
		{"", "", inspect.More},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: a\rHost:b\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nX: y\rHost: b\r\nHost: a\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: a\x00.b\r\n\r\n", "", inspect.Malformed},
		{"GET http://a/ http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "", inspect.Malformed},
		{"GET / HTTP/1.1\r\nHost: %61.example\r\n\r\n", "", inspect.Malformed},
		{"GET http://%61.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "", inspect.Malformed},
		{"GET http://a.example/%61 HTTP/1.1\r\nX: %61\r\n\r\n", "a.example", inspect.Complete},
		{"GET / HTTP/1.1\r\nno field\r\n\r\n", "", inspect.Malformed},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", inspect.Other},
		{"GET /\r\n", "", inspect.Other},
		{"EHLO client.example\r\n", "", inspect.Other},
		{"SSH-2.0-client\r\n", "", inspect.Other},
		{"\x16\x03\x01", "", inspect.Other},
		{" GET / HTTP/1.1\r\n", "", inspect.Other},
		{strings.Repeat("A", 40), "", inspect.Other},
	} {
		r, status := httphost.Parse([]byte(c.in))
		if status != c.want || string(r.Host) != c.host {
			t.Errorf("%q: %q, %v, want %q, %v", c.in, r.Host, status, c.host, c.want)
		}
		in := []byte(c.in)
		if n := testing.AllocsPerRun(10, func() { httphost.Parse(in) }); n != 0 {
			t.Errorf("%q: %v allocations", c.in, n)
		}
	}
}

// FuzzParse compares with net/http: a request that it takes has the same host. What was
// decided stays so when more comes.
func FuzzParse(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"))
	f.Add([]byte("GET http://abs.example:80/x HTTP/1.1\r\nHost: other\r\n\r\n"))
	f.Add([]byte("CONNECT a:1 HTTP/1.1\nHost:[::1]:2\n\n"))
	f.Add([]byte("GET http://%61bs.example/ HTTP/1.1\r\nHost: other\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, status := httphost.Parse(b)
		if after, later := httphost.Parse(append(slices.Clone(b), "\n\n"...)); status != inspect.More &&
			(status != later || !bytes.Equal(r.Host, after.Host)) {
			t.Errorf("%q, %v; with more %q, %v", r.Host, status, after.Host, later)
		}
		if status != inspect.Complete {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(b, "\r\n"))))
		if err != nil || theirs.Method == http.MethodConnect {
			return
		}
		want := theirs.Host
		if u := theirs.URL.Host; u != "" {
			want = u
		}
		if i := strings.LastIndexByte(want, ':'); i >= 0 && !strings.Contains(want[i:], "]") {
			want = want[:i]
		}
		if string(r.Host) != want {
			t.Errorf("%q, net/http has %q", r.Host, want)
		}
	})
}
