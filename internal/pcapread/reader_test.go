// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"
)

var (
	le, be = binary.LittleEndian, binary.BigEndian
	at     = time.Unix(1700000000, 123456789).UTC()
)

// pcap makes a file with one record for each piece of data, byte by byte as the format
// says. cut is how much longer each was on the wire.
func pcap(order binary.AppendByteOrder, magic uint32, link uint32, cut int, data ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = order.AppendUint32(order.AppendUint32(b, 0), 0)
	b = order.AppendUint32(order.AppendUint32(b, 262144), link)
	fraction := uint32(at.Nanosecond())
	if magic == magicMicroseconds {
		fraction /= 1000
	}
	for _, d := range data {
		b = order.AppendUint32(order.AppendUint32(b, uint32(at.Unix())), fraction)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(d))), uint32(len(d)+cut))
		b = append(b, d...)
	}
	return b
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pcapng makes a file of two interfaces with a packet each.
func pcapng(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	wan := pcapgo.NgInterface{Name: "wan", LinkType: linkEthernet, TimestampResolution: 9}
	w, err := pcapgo.NewNgWriterInterface(&b, wan, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(pcapgo.NgInterface{LinkType: linkRaw}); err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"first", "second!"} {
		info := gopacket.CaptureInfo{
			Timestamp: at, InterfaceIndex: i, CaptureLength: len(data), Length: len(data) + 10*i,
		}
		if err := w.WritePacket(info, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads frames until there are none, or an error.
func readAll(file []byte) (frames []Frame, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		f, err := r.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func sameFrame(a, b Frame) bool {
	return a.Number == b.Number && a.Time.Equal(b.Time) && a.Interface == b.Interface &&
		a.LinkType == b.LinkType && bytes.Equal(a.Data, b.Data) && a.Len == b.Len
}

func TestFormats(t *testing.T) {
	micro := at.Truncate(time.Microsecond)
	one := func(link LinkType, when time.Time, extra int) []Frame {
		return []Frame{
			{Number: 1, Time: when, LinkType: link, Data: []byte("first"), Len: 5 + extra},
			{Number: 2, Time: when, LinkType: link, Data: []byte("second!"), Len: 7 + extra},
		}
	}
	first, second := []byte("first"), []byte("second!")
	for _, c := range []struct {
		name string
		file []byte
		want []Frame
	}{
		{"little endian",
			pcap(le, magicMicroseconds, 1, 0, first, second), one(linkEthernet, micro, 0)},
		{"big endian", pcap(be, magicMicroseconds, 276, 0, first, second), one(linkSLL2, micro, 0)},
		{"nanoseconds", pcap(le, magicNanoseconds, 101, 3, first, second), one(linkRaw, at, 3)},
		{"nanoseconds, big endian",
			pcap(be, magicNanoseconds, 101, 3, first, second), one(linkRaw, at, 3)},
		{"with a frame check sequence",
			pcap(le, magicMicroseconds, 1|0x24000000, 0, first, second), one(linkEthernet, micro, 0)},
		{"no packet", pcap(le, magicMicroseconds, 1, 0), nil},
		{"gzip",
			zipped(t, pcap(le, magicNanoseconds, 1, 0, first, second)), one(linkEthernet, at, 0)},
		{"pcapng", pcapng(t), []Frame{
			{Number: 1, Time: at, Interface: "wan", LinkType: linkEthernet, Data: first, Len: 5},
			{Number: 2, Time: at, LinkType: linkRaw, Data: second, Len: 17},
		}},
		{"pcapng, gzip", zipped(t, pcapng(t)), []Frame{
			{Number: 1, Time: at, Interface: "wan", LinkType: linkEthernet, Data: first, Len: 5},
			{Number: 2, Time: at, LinkType: linkRaw, Data: second, Len: 17},
		}},
	} {
		got, err := readAll(c.file)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
			continue
		}
		for i, w := range c.want {
			if !sameFrame(got[i], w) {
				t.Errorf("%s: frame %+v, want %+v", c.name, got[i], w)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	good := pcap(le, magicMicroseconds, 1, 0, []byte("first"), []byte("second!"))
	ng := pcapng(t)
	packed := zipped(t, good)
	for _, c := range []struct {
		name string
		file []byte
		n    int // frames before the error
		word string
		cut  bool
	}{
		{"empty", nil, 0, "the capture is empty", false},
		{"three bytes", []byte("abc"), 0, "it has 3 bytes", false},
		{"text", []byte("#!/bin/sh\n"), 0, "begins with 23 21 2f 62", false},
		{"header cut", good[:20], 0, "header of the capture: the file is cut", true},
		{"another version", slices.Concat([]byte("\xd4\xc3\xb2\xa1\x09\x00"), good[6:]), 0,
			"version 9", false},
		{"record header cut", good[:24+16+5+10], 1, "packet 2: the file is cut", true},
		{"data missing", good[:24+16+5+16], 1, "packet 2: the file is cut", true},
		{"data cut", good[:len(good)-1], 1, "packet 2: the file is cut", true},
		{"data of no packet", slices.Concat(good[:24+16+5], bytes.Repeat([]byte{0x7f}, 40)), 1,
			"packet 2: the record has 2139062143 bytes, and the longest is 262144", false},
		{"pcapng cut", ng[:len(ng)-3], 1, "packet 2: the file is cut", true},
		{"pcapng header cut", ng[:9], 0, "the file is cut", true},
		{"gzip trailer cut", packed[:len(packed)-4], 2, "packet 3: the file is cut", true},
		{"gzip header cut", packed[:5], 0, "decompress", true},
	} {
		frames, err := readAll(c.file)
		if err == nil || !strings.Contains(err.Error(), c.word) || len(frames) != c.n ||
			errors.Is(err, io.ErrUnexpectedEOF) != c.cut {
			t.Errorf("%s: %d frames, %v", c.name, len(frames), err)
		}
	}
}

// A reader that fails is not a file that ends.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	file := pcap(le, magicMicroseconds, 1, 0, []byte("first"), bytes.Repeat([]byte("x"), 5000))
	for _, n := range []int{0, 30, 4500} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(file[:n]), failing{broken}))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
