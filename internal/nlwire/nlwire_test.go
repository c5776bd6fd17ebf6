// SPDX-License-Identifier: GPL-2.0-or-later

package nlwire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
)

// TestMessages appends two messages and splits them off again; the second ends
// unaligned, as the last of a datagram may.
func TestMessages(t *testing.T) {
	var b []byte
	for i := range uint32(2) {
		start := len(b)
		b = AppendHeader(b, 0x301, FlagRequest|FlagAck, 7+i)
		b = AppendAttrU32(b, 3, 0xdeadbeef)
		Finish(b, start)
	}
	b = append(b, 1, 2)
	Finish(b, 24)
	first, rest, ok := Next(b)
	if h, hok := ParseHeader(first); !ok || !hok ||
		h != (Header{Len: 24, Type: 0x301, Flags: 5, Seq: 7}) {
		t.Errorf("first message %x, header %+v", first, h)
	}
	second, rest, ok := Next(rest)
	if h, hok := ParseHeader(second); !ok || !hok || h.Len != 26 || h.Seq != 8 || len(second) != 26 {
		t.Errorf("second message %x, header %+v", second, h)
	}
	if _, _, ok := Next(rest); ok || len(rest) != 0 {
		t.Errorf("%x behind the last message", rest)
	}
}

// TestImpossibleLengths are not split off.
func TestImpossibleLengths(t *testing.T) {
	for _, n := range []uint32{0, 15, 21, 0xffffffff} {
		b := AppendHeader(nil, 1, 0, 0)
		b = append(b, 1, 2, 3, 4)
		binary.NativeEndian.PutUint32(b, n)
		if msg, _, ok := Next(b); ok {
			t.Errorf("a message of %d bytes in %d: %x", n, len(b), msg)
		}
	}
	for _, n := range []uint16{0, 3, 9, 0xffff} {
		b := AppendAttr(nil, 1, []byte{1, 2, 3, 4})
		binary.NativeEndian.PutUint16(b, n)
		if _, data, rest, ok := NextAttr(b); ok || !Malformed(b) {
			t.Errorf("an attribute of %d bytes in %d: %x, %x", n, len(b), data, rest)
		}
	}
	if Malformed([]byte{0, 0, 0}) {
		t.Error("padding is malformed")
	}
}

func TestErrno(t *testing.T) {
	body := binary.NativeEndian.AppendUint32(nil, ^uint32(0)) // -1
	body = AppendHeader(body, 0x302, 0, 9)
	if errno, request, ok := Errno(body); errno != 1 || request.Type != 0x302 || request.Seq != 9 ||
		!ok {
		t.Errorf("error %d of %+v, %v", errno, request, ok)
	}
	for n := range body {
		if _, _, ok := Errno(body[:n]); ok {
			t.Errorf("an error in %d bytes", n)
		}
	}
}

// TestAttributes encodes with this package and decodes with another, and back.
func TestAttributes(t *testing.T) {
	var b []byte
	for n := range 9 {
		b = AppendAttr(b, uint16(n+1), bytes.Repeat([]byte{byte(n)}, n))
	}
	b = AppendAttrU16(b, 20, 0x1234)
	b = AppendAttrU32(b, 21, 0x12345678)
	start := len(b)
	b = AppendNest(b, 22)
	b = AppendAttr(b, 1, []byte("nested"))
	EndNest(b, start)
	theirs, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := netlink.MarshalAttributes(theirs); err != nil || !bytes.Equal(back, b) {
		t.Errorf("%x, %v; want %x", back, err, b)
	}
	compare(t, b, theirs)
}

// compare checks that NextAttr yields the same attributes, up to one of length 0,
// which the other decoder skips and the kernel refuses (nla_ok).
func compare(t *testing.T, b []byte, theirs []netlink.Attribute) {
	t.Helper()
	rest := b
	for i, a := range theirs {
		typ, data, next, ok := NextAttr(rest)
		if !ok && Malformed(rest) && binary.NativeEndian.Uint16(rest) == 0 {
			return
		}
		if !ok || typ != a.Type&0x3fff || !bytes.Equal(data, a.Data) {
			t.Fatalf("attribute %d is %d %x, %v; want %d %x", i, typ, data, ok, a.Type, a.Data)
		}
		rest = next
	}
	if _, _, _, ok := NextAttr(rest); ok {
		t.Fatalf("more than %d attributes in %x", len(theirs), b)
	}
}

// FuzzAttributes compares with another decoder on anything that it takes.
func FuzzAttributes(f *testing.F) {
	f.Add(AppendAttr(AppendAttr(nil, 1, []byte("one")), 0x8002, []byte("two")))
	f.Add([]byte{4, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; ; {
			_, _, next, ok := NextAttr(rest)
			if !ok {
				break
			}
			if len(next) >= len(rest) {
				t.Fatal("no progress")
			}
			rest = next
		}
		if theirs, err := netlink.UnmarshalAttributes(b); err == nil {
			compare(t, b, theirs)
		}
	})
}

func TestPad(t *testing.T) {
	for n, want := range []int{0, 3, 2, 1, 0} {
		if got := len(Pad(nil, n)); got != want {
			t.Errorf("%d bytes of padding behind %d, want %d", got, n, want)
		}
	}
}
