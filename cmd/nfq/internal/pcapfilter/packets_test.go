// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/pcapread"
)

const captures = "../../../../testdata/captures"

// rawPackets are IP packets with headers of every kind, whole and cut.
func rawPackets(tb testing.TB) []Packet {
	r := rand.New(rand.NewPCG(1, 2))
	var all []Packet
	for _, f := range frames(tb) {
		if p, ok := f.IP(); ok {
			all = append(all, Packet{Data: p.Payload, Length: p.Len})
		}
	}
	for range 400 {
		b := randomIP(r)
		p := Packet{Data: b, Length: len(b)}
		if r.IntN(2) == 0 { // cut, by a capture or otherwise
			p.Data = b[:r.IntN(len(b)+1)]
			if r.IntN(4) == 0 {
				p.Length = len(p.Data)
			}
		}
		all = append(all, p)
	}
	whole := randomIP(r)
	for n := range 64 {
		all = append(all, Packet{Data: whole[:min(n, len(whole))], Length: len(whole)})
	}
	return append(all,
		Packet{Data: []byte{0x10, 0, 0, 0}, Length: 4}, Packet{Data: []byte{0x46}, Length: 1500})
}

// bridgedPackets are such packets and others behind an Ethernet header.
func bridgedPackets(tb testing.TB) []Packet {
	r := rand.New(rand.NewPCG(3, 4))
	var all []Packet
	for _, f := range frames(tb) {
		if p, ok := f.Bridged(); ok {
			all = append(all, Packet{Data: p.Payload, Length: p.Len, EtherType: p.EtherType})
		}
	}
	for range 300 {
		b := randomIP(r)
		p := Packet{Data: b, Length: len(b), EtherType: etherIP4}
		if b[0]>>4 == 6 {
			p.EtherType = etherIP6
		}
		switch r.IntN(8) {
		case 0:
			p.EtherType = []uint16{etherIP4, etherIP6, etherARP, 0x8100, 0x8847, 0x88cc}[r.IntN(6)]
			if p.EtherType == 0x8100 {
				p.Data = append([]byte{0, 100, 8, 0}, b...)
				p.Length += 4
			}
		case 1, 2:
			p.EtherType = []uint16{etherARP, etherRARP}[r.IntN(2)]
			p.Data = randomARP(r)
			p.Length = len(p.Data)
		}
		if r.IntN(3) == 0 {
			p.Data = p.Data[:r.IntN(len(p.Data)+1)]
		}
		all = append(all, p)
	}
	return all
}

// frames reads all captures of the project.
func frames(tb testing.TB) (all []pcapread.Frame) {
	tb.Helper()
	files, err := filepath.Glob(captures + "/*.pcapng")
	if err != nil || len(files) == 0 {
		tb.Fatalf("%d captures, %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		file, err := pcapread.NewReader(bytes.NewReader(b))
		if err != nil {
			tb.Fatal(err)
		}
		for n := 0; ; n++ {
			f, err := file.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			if n < 20 {
				all = append(all, f)
			}
		}
	}
	return all
}

var (
	someHosts4 = addresses("192.0.2.1", "192.0.2.2", "192.0.3.9", "198.51.100.1", "10.1.2.3",
		"10.0.2.0", "224.0.0.251", "255.255.255.255", "127.0.0.1", "0.0.0.10")
	someHosts6 = addresses("2001:db8::1", "2001:db8:1::1", "fe80::1", "ff02::1", "::", "::1",
		"::ffff:192.0.2.1")
	somePorts  = []uint16{53, 80, 443, 7, 22, 21, 514, 123, 40000, 65535, 2}
	protocols4 = []byte{1, 2, 6, 6, 6, 9, 17, 17, 17, 47, 50, 51, 58, 89, 103, 112, 132, 0, 255}
	protocols6 = []byte{6, 6, 17, 17, 58, 58, 132, 50, 59, 1, 255, 112}
)

func addresses(texts ...string) (all [][]byte) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t).AsSlice())
	}
	return all
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// randomIP makes a packet whose headers may be wrong.
func randomIP(r *rand.Rand) []byte {
	body := make([]byte, 8+r.IntN(40))
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	binary.BigEndian.PutUint16(body, pick(r, somePorts))
	binary.BigEndian.PutUint16(body[2:], pick(r, somePorts))
	if r.IntN(2) == 0 {
		return random4(r, body)
	}
	return random6(r, body)
}

func random4(r *rand.Rand, body []byte) []byte {
	words := 5
	if r.IntN(3) == 0 {
		words = r.IntN(16) // fewer than 5 are wrong
	}
	b := make([]byte, max(20, 4*words))
	b[0] = 0x40 | byte(words)
	b[1] = byte(r.Uint32())
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(body)))
	if r.IntN(3) == 0 {
		some := []uint16{0x2000, 0x4000, 0x2005, 0x0005, 0x1fff, 0x8000}
		binary.BigEndian.PutUint16(b[6:], pick(r, some))
	}
	b[8], b[9] = 64, pick(r, protocols4)
	copy(b[12:], pick(r, someHosts4))
	copy(b[16:], pick(r, someHosts4))
	return append(b, body...)
}

func random6(r *rand.Rand, body []byte) []byte {
	next := pick(r, protocols6)
	for range max(0, r.IntN(5)-2) { // extension headers, from the last to the first
		header := make([]byte, 8)
		header[0] = next
		switch next = pick(r, []byte{0, 43, 44, 60, 51}); next {
		case 44:
			binary.BigEndian.PutUint16(header[2:], pick(r, []uint16{0, 1, 8, 0x100, 0x101}))
		case 51:
			header = append(header, 0, 0, 0, 0)
			header[1] = 1
		default:
			header[1] = byte(r.IntN(2))
			header = append(header, make([]byte, 8*int(header[1]))...)
		}
		body = append(header, body...)
	}
	b := make([]byte, 40)
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	b[6], b[7] = next, 64
	copy(b[8:], pick(r, someHosts6))
	copy(b[24:], pick(r, someHosts6))
	return append(b, body...)
}

func randomARP(r *rand.Rand) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(1 + r.IntN(2)), 2, 0, 0, 0, 0, 1}
	b = append(b, pick(r, someHosts4)...)
	b = append(b, 2, 0, 0, 0, 0, 2)
	return append(b, pick(r, someHosts4)...)
}
