// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// block makes a block of pcapng.
func block(order binary.AppendByteOrder, typ uint32, body []byte) []byte {
	body = append(body, make([]byte, -len(body)&3)...)
	n := uint32(len(body) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, typ), n)
	return order.AppendUint32(append(b, body...), n)
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, byteOrderMagic), 1), 0)
	return block(order, magicSection, order.AppendUint64(b, ^uint64(0)))
}

// option makes an option of a block.
func option(order binary.AppendByteOrder, code uint16, value ...byte) []byte {
	b := order.AppendUint16(order.AppendUint16(nil, code), uint16(len(value)))
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

func describe(order binary.AppendByteOrder, link uint16, snap uint32, options ...[]byte) []byte {
	b := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, link), 0), snap)
	return block(order, blockInterface, append(b, bytes.Join(options, nil)...))
}

func enhanced(order binary.AppendByteOrder, index uint32, units uint64, captured, wire int,
	data []byte) []byte {
	b := order.AppendUint32(order.AppendUint32(nil, index), uint32(units>>32))
	b = order.AppendUint32(b, uint32(units))
	b = order.AppendUint32(order.AppendUint32(b, uint32(captured)), uint32(wire))
	return block(order, blockEnhanced, append(b, data...))
}

func simple(order binary.AppendByteOrder, wire int, data []byte) []byte {
	return block(order, blockSimple, append(order.AppendUint32(nil, uint32(wire)), data...))
}

// Every block that has packets is read, in either byte order, and others are passed over.
func TestBlocks(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{le, be} {
		old := order.AppendUint16(order.AppendUint16(nil, 1), 7) // interface, drops
		old = order.AppendUint32(order.AppendUint32(old, 0), 5_000_000)
		old = order.AppendUint32(order.AppendUint32(old, 3), 9)
		frames, err := readAll(bytes.Join([][]byte{
			section(order),
			block(order, 0xbad, []byte("whatever")),
			describe(order, 1, 4, option(order, optionName, []byte("eth0")...), option(order, 0)),
			describe(order, 101, 0),
			enhanced(order, 0, 2_000_001, 3, 7, []byte("abc")),
			block(order, 5, make([]byte, 20)), // statistics
			simple(order, 10, []byte("defg")), // cut at the 4 bytes of the first interface
			block(order, blockPacket, append(old, "hij"...)),
			section(order),
			describe(order, 113, 0),
			simple(order, 2, []byte("kl")),
		}, nil))
		if err != nil || len(frames) != 4 {
			t.Fatalf("%v: %+v, %v", order, frames, err)
		}
		for i, want := range []Frame{
			{1, time.Unix(2, 1000), "eth0", linkEthernet, []byte("abc"), 7},
			{2, time.Time{}, "eth0", linkEthernet, []byte("defg"), 10},
			{3, time.Unix(5, 0), "", linkRaw, []byte("hij"), 9},
			{4, time.Time{}, "", linkSLL, []byte("kl"), 2},
		} {
			if got := frames[i]; !sameFrame(got, want) {
				t.Errorf("%v: frame %+v, want %+v", order, got, want)
			}
		}
	}
}

func TestBadBlocks(t *testing.T) {
	good := enhanced(le, 0, 0, 3, 3, []byte("abc"))
	with := func(blocks ...[]byte) []byte {
		return append(append(section(le), describe(le, 1, 0)...), bytes.Join(blocks, nil)...)
	}
	changed := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	for _, c := range []struct {
		name string
		file []byte
		n    int
		word string
	}{
		{"no byte order", changed(section(le), 8, 0), 0, "byte order"},
		{"version", changed(section(le), 12, 2), 0, "version 2 of pcapng"},
		{"no interface", append(section(le), good...),
			0, "packet 1: it is of interface 0, and the file has described 0"},
		{"another interface", with(good, enhanced(le, 1, 0, 3, 3, []byte("abc"))),
			1, "packet 2: it is of interface 1"},
		{"packet longer than its block", with(enhanced(le, 0, 0, 13, 13, []byte("abc"))),
			0, "its block is too short"},
		{"block too short", with(changed(good, 4, 8)), 0, "a block has 8 bytes"},
		{"block of an odd length", with(changed(good, 4, 37)), 0, "a block has 37 bytes"},
		{"lengths that differ", with(changed(good, len(good)-4, 40)),
			0, "36 bytes at its beginning and 40 at its end"},
		{"no room for the header", with(block(le, blockEnhanced, make([]byte, 16))),
			0, "too short for what it has"},
		{"option longer than its block", append(section(le), describe(le, 1, 0, []byte{2, 0, 200, 0})...),
			0, "an option is longer"},
		{"block cut", with(good[:20]), 0, "cut"},
		{"record too long", with(enhanced(le, 0, 0, maxRecord+4, maxRecord+4, make([]byte, maxRecord+4))),
			0, "the longest is 262144"},
		{"section in the middle", with(good, changed(section(be), 8, 0)),
			1, "packet 2: a section does not tell"},
	} {
		frames, err := readAll(c.file)
		if err == nil || !strings.Contains(err.Error(), c.word) || len(frames) != c.n {
			t.Errorf("%s: %d frames, %v", c.name, len(frames), err)
		}
	}
}

// The units of time are powers of 10 and of 2, up to those of which a second has more than fit into
// 64 bits.
func TestTimeUnits(t *testing.T) {
	for _, c := range []struct {
		units byte
		count uint64
		want  time.Time
	}{
		{0, 7, time.Unix(7, 0)},
		{3, 7002, time.Unix(7, 2e6)},
		{9, 7_000_000_002, time.Unix(7, 2)},
		{12, 7_000_000_002_999, time.Unix(7, 2)},
		{19, 12_000_000_000_000_000_000, time.Unix(1, 200_000_000)},
		{20, 12_000_000_000_000_000_000, time.Unix(0, 120_000_000)},
		{28, 1 << 63, time.Unix(0, 0)},
		{0x7f, 1 << 63, time.Unix(0, 0)},
		{0x80, 7, time.Unix(7, 0)},
		{0x81, 7, time.Unix(3, 500_000_000)},
		{0x80 | 32, 7<<32 | 1<<31, time.Unix(7, 500_000_000)},
		{0x80 | 63, 1<<63 | 1<<62, time.Unix(1, 500_000_000)},
		{0x80 | 64, 1 << 63, time.Unix(0, 500_000_000)},
		{0x80 | 65, 1 << 63, time.Unix(0, 250_000_000)},
		{0xff, 1 << 63, time.Unix(0, 0)},
	} {
		frames, err := readAll(bytes.Join([][]byte{
			section(le),
			describe(le, 1, 0, option(le, optionTimeUnits, c.units),
				option(le, optionTimeOffset, 3, 0, 0, 0, 0, 0, 0, 0)),
			enhanced(le, 0, c.count, 1, 1, []byte("x")),
		}, nil))
		want := c.want.Add(3 * time.Second)
		if err != nil || len(frames) != 1 || !frames[0].Time.Equal(want) {
			t.Errorf("units %#x, %d: %+v, %v; want %v", c.units, c.count, frames, err, want)
		}
	}
}

// Old forms of pcap have other headers of records, or lengths in the other order.
func TestOldPcap(t *testing.T) {
	file := func(magic uint32, major, minor uint16, record []byte) []byte {
		b := be.AppendUint16(be.AppendUint16(be.AppendUint32(nil, magic), major), minor)
		b = append(b, make([]byte, 8)...)
		return append(be.AppendUint32(be.AppendUint32(b, 65535), linkEthernet), record...)
	}
	record := func(first, second uint32, data string) []byte {
		b := be.AppendUint32(be.AppendUint32(nil, 9), 8)
		return append(be.AppendUint32(be.AppendUint32(b, first), second), data...)
	}
	for _, c := range []struct {
		name string
		file []byte
		len  int
	}{
		{"modified",
			file(magicModified, 2, 4, record(3, 5, "\x00\x00\x00\x01\x08\x00\x00\x00abc")), 5},
		{"captured more than there was", file(magicMicroseconds, 2, 4, record(3, 2, "abc")), 3},
		{"version 2.3, as today", file(magicMicroseconds, 2, 3, record(3, 5, "abc")), 5},
		{"version 2.3, swapped", file(magicMicroseconds, 2, 3, record(5, 3, "abc")), 5},
		{"version 2.2", file(magicMicroseconds, 2, 2, record(5, 3, "abc")), 5},
		{"version 2.5", file(magicMicroseconds, 2, 5, record(3, 5, "abc")), 5},
		{"version 543.0", file(magicMicroseconds, 543, 0, record(5, 3, "abc")), 5},
	} {
		frames, err := readAll(c.file)
		want := Frame{1, time.Unix(9, 8000), "", linkEthernet, []byte("abc"), c.len}
		if err != nil || len(frames) != 1 || !sameFrame(frames[0], want) {
			t.Errorf("%s: %+v, %v", c.name, frames, err)
		}
	}
}

// What a file claims costs no memory: a small one can claim, and even have, much.
func TestMemory(t *testing.T) {
	const size = 4 << 20
	packed := func(head []byte, zeros int) io.Reader {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		for _, part := range [][]byte{head, make([]byte, zeros)} {
			if _, err := z.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	record := pcap(le, magicMicroseconds, 1, 0, nil)
	le.PutUint32(record[24+8:], size)
	le.PutUint32(record[24+12:], size)
	le.PutUint32(record[16:], 0xffffffff) // the snap length
	packet := enhanced(le, 0, 0, size, size, nil)
	le.PutUint32(packet[4:], size+32)
	other := block(le, 0xbad, nil)
	le.PutUint32(other[4:], size)
	named := describe(le, 1, 0, option(le, optionName, make([]byte, 60000)...))
	ng := append(section(le), describe(le, 1, 0)...)
	for name, file := range map[string]io.Reader{
		"pcap":            packed(record, size),
		"pcapng":          packed(slices.Concat(ng, packet[:28]), size),
		"another block":   packed(append(section(le), other[:8]...), size-8),
		"many interfaces": packed(slices.Concat(section(le), bytes.Repeat(named, 100)), 0),
		"claimed only":    bytes.NewReader(record),
		"claimed, pcapng": bytes.NewReader(slices.Concat(ng, packet[:28])),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := NewReader(file)
		for err == nil {
			_, err = r.Next()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<19 {
			t.Errorf("%s: %d bytes are held", name, grown)
		}
		if all := after.TotalAlloc - before.TotalAlloc; all > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, all)
		}
		runtime.KeepAlive(r)
	}
}
