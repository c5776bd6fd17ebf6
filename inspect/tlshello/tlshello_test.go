// SPDX-License-Identifier: GPL-2.0-or-later

package tlshello_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
)

// record puts content into a handshake record.
func record(content []byte) []byte {
	return append([]byte{22, 3, 1, byte(len(content) >> 8), byte(len(content))}, content...)
}

// clientHello returns the record that crypto/tls sends.
func clientHello(tb testing.TB, cfg *tls.Config) []byte {
	tb.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	go tls.Client(client, cfg).HandshakeContext(ctx)
	header := make([]byte, 5)
	if _, err := io.ReadFull(server, header); err != nil {
		tb.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(server, body); err != nil {
		tb.Fatal(err)
	}
	return append(header, body...)
}

const name = "www.example.org"

// Of every beginning more is needed; the name is given as soon as it is there.
func TestParse(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: name})
	named := bytes.Index(hello, []byte(name)) + len(name)
	for n := range len(hello) {
		h, status := tlshello.Parse(hello[:n])
		if status != inspect.More || (string(h.ServerName) == name) != (n >= named) {
			t.Errorf("%d bytes: %q, %v", n, h.ServerName, status)
		}
	}
	for _, more := range []string{"", "\x16\x03", "anything"} {
		h, status := tlshello.Parse(append(slices.Clone(hello), more...))
		if status != inspect.Complete || string(h.ServerName) != name || h.Encrypted {
			t.Errorf("%q, %v", h.ServerName, status)
		}
	}
	if n := testing.AllocsPerRun(100, func() { tlshello.Parse(hello) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A hello may be cut into records anywhere, also within the name.
func TestRecords(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: name})
	message := hello[5:]
	for i := 1; i < len(message); i++ {
		two := append(record(message[:i]), record(message[i:])...)
		h, status := tlshello.Parse(two)
		if status != inspect.Complete || string(h.ServerName) != name {
			t.Fatalf("cut at %d: %q, %v", i, h.ServerName, status)
		}
		for _, n := range []int{i + 5, i + 6, i + 10, len(two) - 1} {
			if _, status := tlshello.Parse(two[:n]); status != inspect.More {
				t.Fatalf("cut at %d, %d bytes: %v", i, n, status)
			}
		}
		three := append(record(message[:i]), 23, 3, 1, 0, 1, 0)
		if _, status := tlshello.Parse(three); status != inspect.Malformed {
			t.Fatalf("another record between: %v", status)
		}
	}
	var each []byte
	for _, b := range message {
		each = append(each, record([]byte{b})...)
	}
	if h, status := tlshello.Parse(each); status != inspect.Complete || string(h.ServerName) != name {
		t.Errorf("a record for each byte: %q, %v", h.ServerName, status)
	}
}

func TestNoName(t *testing.T) {
	h, status := tlshello.Parse(clientHello(t, &tls.Config{InsecureSkipVerify: true}))
	if status != inspect.Complete || h.ServerName != nil {
		t.Errorf("%q, %v", h.ServerName, status)
	}
	if h, status := tlshello.Parse(hello(nil)); status != inspect.Complete || h.ServerName != nil {
		t.Errorf("without extensions: %q, %v", h.ServerName, status)
	}
}

// hello makes a record with a ClientHello that has the given extensions.
func hello(extensions []byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0)          // session
	body = append(body, 0, 2, 1, 2) // cipher suites
	body = append(body, 1, 0)       // compression methods
	if extensions != nil {
		body = append(body, byte(len(extensions)>>8), byte(len(extensions)))
		body = append(body, extensions...)
	}
	return record(append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...))
}

func extension(typ uint16, body ...byte) []byte {
	return append([]byte{byte(typ >> 8), byte(typ), byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestEncrypted(t *testing.T) {
	front := extension(0, 0, 8, 0, 0, 5, 'f', 'r', 'o', 'n', 't')
	for _, c := range []struct {
		ext  []byte
		want bool
	}{
		{extension(0xfe0d, 0, 1, 2, 3), true},
		{extension(0xfe0d, 1), false}, // of an inner hello
		{extension(10, 0, 0), false},
	} {
		h, status := tlshello.Parse(hello(append(c.ext, front...)))
		if status != inspect.Complete || string(h.ServerName) != "front" || h.Encrypted != c.want {
			t.Errorf("%x: %+v, %v", c.ext, h, status)
		}
	}
}

// No length is believed that does not fit.
func TestLengths(t *testing.T) {
	server := func(b ...byte) []byte { return hello(extension(0, b...)) }
	whole := hello(extension(0, 0, 4, 0, 0, 1, 'a'))
	edit := func(at int, b byte) []byte {
		c := slices.Clone(whole)
		c[at] = b
		return c
	}
	for name, b := range map[string][]byte{
		"list longer than the extension":  server(0, 5, 0, 0, 1, 'a'),
		"list shorter than the extension": server(0, 3, 0, 0, 1, 'a'),
		"name longer than the list":       server(0, 4, 0, 0, 2, 'a'),
		"empty name":                      server(0, 3, 0, 0, 0),
		"two names":                       server(0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'),
		"two extensions": hello(append(extension(0, 0, 4, 0, 0, 1, 'a'),
			extension(0, 0, 4, 0, 0, 1, 'b')...)),
		"extensions longer than the hello": edit(5+4+2+32+1+4+2+1, 99),
		"session of 33 bytes":              edit(5+4+2+32, 33),
		"odd cipher suites":                edit(5+4+2+32+1+1, 1),
		"empty record":                     record(nil),
		"record of 16385 bytes":            {22, 3, 1, 0x40, 1, 1},
		"hello of a megabyte":              record([]byte{1, 0x10, 0, 0}),
		"a byte more": record(append([]byte{1, 0, 0, whole[8] + 1},
			append(slices.Clone(whole[9:]), 0)...)),
	} {
		if h, status := tlshello.Parse(b); status != inspect.Malformed {
			t.Errorf("%s: %q, %v", name, h.ServerName, status)
		}
	}
	if h, status := tlshello.Parse(server(0, 9, 7, 0, 2, 'x', 'y', 0, 0, 1,
		'a')); status != inspect.Complete || string(h.ServerName) != "a" {
		t.Errorf("a name of another kind before: %q, %v", h.ServerName, status)
	}
}

func TestOther(t *testing.T) {
	for _, s := range []string{"G", "GET / HTTP/1.1", "SSH-2.0-x",
		"\x17\x03\x03\x00\x01\x00", "\x16\x03\x01\x00\x04\x02\x00\x00\x00"} {
		if _, status := tlshello.Parse([]byte(s)); status != inspect.Other {
			t.Errorf("%q: %v", s, status)
		}
	}
	if _, status := tlshello.Parse(nil); status != inspect.More {
		t.Errorf("nothing: %v", status)
	}
}

// FuzzParse compares with crypto/tls: a server that takes a hello sees the same name. What
// is malformed or complete stays so when more comes.
func FuzzParse(f *testing.F) {
	f.Add(clientHello(f, &tls.Config{ServerName: name}))
	f.Add(hello(extension(0, 0, 4, 0, 0, 1, 'a')))
	whole := clientHello(f, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS13})[5:]
	f.Add(append(record(whole[:100]), record(whole[100:])...))
	noSuites := append([]byte{1, 0, 0, 39, 3, 3}, make([]byte, 32+1+2)...)
	f.Add(record(append(noSuites, 1, 0)))
	version := record(whole)
	version[1] = 2
	f.Add(version)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, status := tlshello.Parse(b)
		if after, later := tlshello.Parse(append(slices.Clone(b), 0)); status != inspect.More &&
			(status != later || !bytes.Equal(h.ServerName, after.ServerName)) {
			t.Errorf("%q, %v; with more %q, %v", h.ServerName, status, after.ServerName, later)
		}
		seen, read, taken := crypto(t, b)
		switch refused := status == inspect.Malformed; {
		case !read, refused && !taken:
		case status != inspect.Complete, string(h.ServerName) != seen:
			t.Errorf("%q, %v; crypto/tls sees %q", h.ServerName, status, seen)
		}
	})
}

// crypto has crypto/tls read a hello, and reports whether it also goes on with it. It refuses
// empty lists only later.
func crypto(t *testing.T, b []byte) (name string, read, taken bool) {
	c := &conn{Reader: bytes.NewReader(b)}
	_ = tls.Server(c, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, read = h.ServerName, true
			return nil, nil
		},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			taken = len(h.CipherSuites) > 0
			return nil, io.EOF
		},
	}).HandshakeContext(t.Context())
	return name, read, taken
}

type conn struct {
	net.Conn // nil, for the methods that are not called
	*bytes.Reader
}

func (c *conn) Read(b []byte) (int, error)  { return c.Reader.Read(b) }
func (c *conn) Write(b []byte) (int, error) { return len(b), nil }
func (c *conn) Close() error                { return nil }
