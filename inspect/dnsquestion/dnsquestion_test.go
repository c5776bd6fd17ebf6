// SPDX-License-Identifier: GPL-2.0-or-later

package dnsquestion_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/dnsquestion"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// message makes a message with a question on the wire.
func message(flags uint16, questions uint16, question string) []byte {
	b := []byte{0x12, 0x34, byte(flags >> 8), byte(flags), 0, byte(questions), 0, 0, 0, 0, 0, 0}
	return append(b, question...)
}

const www = "\x03www\x07example\x03org\x00\x00\x1c\x00\x01" // AAAA

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		name string
		want inspect.Status
	}{
		{message(0x0100, 1, www), "www.example.org", inspect.Complete},
		{message(0x8180, 1, www+"answers"), "www.example.org", inspect.Complete},
		{message(0, 1, "\x00\x00\x1c\x00\x01"), ".", inspect.Complete},
		{message(0, 1, "\x04a.\\\x07\x00\x00\x1c\x00\x01"), `a\.\\\007`, inspect.Complete},
		{message(0, 1, strings.Repeat("\x1f"+strings.Repeat("x", 31), 7)+"\x1d"+strings.Repeat("y",
			29)+"\x00\x00\x1c\x00\x01"),
			strings.Repeat(strings.Repeat("x", 31)+".", 7) + strings.Repeat("y", 29), inspect.Complete},
		{message(0, 1, strings.Repeat("\x1f"+strings.Repeat("x", 31), 7)+"\x1f"+strings.Repeat("y",
			31)+"\x00\x00\x1c\x00\x01"), ".", inspect.Malformed},
		{message(0, 1, "\xc0\x0c\x00\x1c\x00\x01"), ".", inspect.Malformed},
		{message(0, 1, "\x40"+strings.Repeat("x", 64)+"\x00\x00\x1c\x00\x01"), ".", inspect.Malformed},
		{message(0, 1, www[:len(www)-1]), ".", inspect.Malformed},
		{message(0, 1, www[:6]), ".", inspect.Malformed},
		{message(0, 2, www+www), ".", inspect.Malformed},
		{message(0x8000, 0, ""), ".", inspect.Other},
		{[]byte("short"), ".", inspect.Other},
		{nil, ".", inspect.Other},
	} {
		q, status := dnsquestion.Parse(c.in)
		if status != c.want || q.Name() != c.name {
			t.Errorf("%q: %q, %v, want %q, %v", c.in, q.Name(), status, c.name, c.want)
		}
		if status == inspect.Complete && (q.Type != 28 || q.Class != 1 || q.ID != 0x1234 ||
			q.Response != (c.in[2] == 0x81)) {
			t.Errorf("%q: %+v", c.in, q)
		}
		if n := testing.AllocsPerRun(10, func() { dnsquestion.Parse(c.in) }); n != 0 {
			t.Errorf("%q: %v allocations", c.in, n)
		}
	}
}

// The length before a message says where it ends.
func TestParseStream(t *testing.T) {
	first, second := message(0, 1, www), message(0, 1, "\x01a\x00\x00\x1c\x00\x01")
	var stream []byte
	for _, m := range [][]byte{first, second} {
		stream = append(binary.BigEndian.AppendUint16(stream, uint16(len(m))), m...)
	}
	for n := range len(stream) + 1 {
		q, used, status := dnsquestion.ParseStream(stream[:n])
		if whole := n >= len(first)+2; (status == inspect.Complete) != whole || !whole &&
			status != inspect.More || whole && used != len(first)+2 {
			t.Errorf("%d bytes: %v, %d used", n, status, used)
		} else if whole && q.Name() != "www.example.org" {
			t.Errorf("%d bytes: %q", n, q.Name())
		}
	}
	if q, _, status := dnsquestion.ParseStream(stream[len(first)+2:]); status != inspect.Complete ||
		q.Name() != "a" {
		t.Errorf("%q, %v", q.Name(), status)
	}
	if _, _, status := dnsquestion.ParseStream([]byte{0, 11}); status != inspect.Other {
		t.Errorf("a length of 11: %v", status)
	}
	// A message that is longer than its length says is not read beyond.
	short := append([]byte{0, 20}, first...)
	if _, _, status := dnsquestion.ParseStream(short); status != inspect.Malformed {
		t.Errorf("length of 20: %v", status)
	}
}

// FuzzParse compares with gopacket, which shows names without escapes.
func FuzzParse(f *testing.F) {
	f.Add(message(0x0100, 1, www))
	f.Add(message(0x8180, 1, www+"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x01\x00\x10"+strings.Repeat("x",
		16)))
	f.Fuzz(func(t *testing.T, b []byte) {
		dnsquestion.ParseStream(b)
		q, status := dnsquestion.Parse(b)
		if status != inspect.Complete {
			return
		}
		if q.Len > len(b) {
			t.Fatalf("%d of %d bytes", q.Len, len(b))
		}
		var theirs layers.DNS
		if theirs.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil || len(theirs.Questions) != 1 {
			return
		}
		name := q.AppendName(nil)
		if bytes.ContainsRune(name, '\\') || string(name) == "." {
			return
		}
		if !bytes.Equal(name, theirs.Questions[0].Name) || q.Type != uint16(theirs.Questions[0].Type) ||
			q.ID != theirs.ID {
			t.Errorf("%q, gopacket has %q", name, theirs.Questions[0].Name)
		}
	})
}
