// SPDX-License-Identifier: GPL-2.0-or-later

package quicinitial

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/inspect"
)

// sample returns the packet in an appendix of an RFC.
func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// RFC 9001 appendix A.2 and RFC 9369 appendix A.2.
func TestSamples(t *testing.T) {
	for _, name := range []string{"rfc9001", "rfc9369"} {
		packet := sample(t, name)
		h, status := Parse(slices.Values([][]byte{packet}))
		if status != inspect.Complete || string(h.ServerName) != "example.com" {
			t.Errorf("%s: %q, %v", name, h.ServerName, status)
		}
		packet[700] ^= 1
		if h, status := Parse(slices.Values([][]byte{packet})); status != inspect.More {
			t.Errorf("%s, one bit changed: %q, %v", name, h.ServerName, status)
		}
	}
}

// message is a ClientHello for a name of 200 bytes.
func message() []byte {
	name := strings.Repeat("name.", 40)
	ext := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))},
		name...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0, 0, byte(len(ext)))
	body = append(body, ext...)
	return append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// frame makes a CRYPTO frame.
func frame(at int, data []byte) []byte {
	b := []byte{frameCrypto, 0x40 | byte(at>>8), byte(at), 0x40 | byte(len(data)>>8), byte(len(data))}
	return append(b, data...)
}

// seal makes an Initial packet. Size is that of the packet, which is padded.
func seal(tb testing.TB, v *version, destID, keyID []byte, number byte, payload []byte,
	size int) []byte {
	tb.Helper()
	k, err := newKeys(v, keyID)
	if err != nil {
		tb.Fatal(err)
	}
	head := []byte{0xc0 | v.initial<<4}
	head = binary.BigEndian.AppendUint32(head, v.number)
	head = append(append(head, byte(len(destID))), destID...)
	head = append(head, 0)         // source id
	head = append(head, 1, 't')    // token
	length := size - len(head) - 2 // with the packet number
	head = append(head, 0x40|byte(length>>8), byte(length), number)
	payload = append(payload, make([]byte, size-len(head)-16-len(payload))...)
	nonce := slices.Clone(k.iv)
	nonce[nonceLen-1] ^= number
	b := k.aead.Seal(slices.Clone(head), nonce, payload, head)
	var mask [16]byte
	at := len(head) - 1
	k.header.Encrypt(mask[:], b[at+4:at+20])
	b[0] ^= mask[0] & 0xf
	b[at] ^= mask[1]
	return b
}

var id, other = []byte("12345678"), []byte("another one")

// The hello may be spread over frames, packets and datagrams in any order.
func TestAssemble(t *testing.T) {
	m := message()
	name := strings.Repeat("name.", 40)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range versions {
		v := &versions[i]
		for range 200 {
			// Frames of random cuts, some of them twice.
			var frames [][]byte
			for at := 0; at < len(m); {
				n := min(1+r.IntN(100), len(m)-at)
				frames = append(frames, frame(at, m[at:at+n]))
				if r.IntN(4) == 0 {
					frames = append(frames, frame(max(at-5, 0), m[max(at-5, 0):at+n]))
				}
				at += n
			}
			r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
			var datagrams [][]byte
			for n := byte(0); len(frames) > 0; n++ {
				take := min(1+r.IntN(3), len(frames))
				payload := slices.Concat([]byte{framePing, frameACK, 5, 0, 1, 0, 0, 0},
					slices.Concat(frames[:take]...))
				frames = frames[take:]
				p := seal(t, v, id, id, n, payload, 1200)
				if len(frames) > 0 && r.IntN(2) == 0 { // two packets in a datagram
					p = append(p, seal(t, v, id, id, n+100, frames[0], 800)...)
					frames = frames[1:]
				}
				datagrams = append(datagrams, p)
			}
			if h, status := Parse(slices.Values(datagrams)); status != inspect.Complete ||
				string(h.ServerName) != name {
				t.Fatalf("version %x: %q, %v", v.number, h.ServerName, status)
			}
			if _, status := Parse(slices.Values(datagrams[:len(datagrams)-1])); status == inspect.Malformed {
				t.Fatal(status)
			}
		}
	}
}

func TestPackets(t *testing.T) {
	v := &versions[0]
	m := message()
	half := len(m) / 2
	first, second := frame(0, m[:half]), frame(half, m[half:])
	zeroRTT := append([]byte{0xd0, 0, 0, 0, 1, 8}, id...) // has no token
	zeroRTT = append(zeroRTT, 0, 3, 'x', 'y', 'z')
	unknown := seal(t, v, id, id, 0, first, 1200)
	unknown[4] = 9
	for _, c := range []struct {
		name      string
		datagrams [][]byte
		want      inspect.Status
	}{
		{"nothing", nil, inspect.More},
		{"half", [][]byte{seal(t, v, id, id, 0, first, 1200)}, inspect.More},
		{"both", [][]byte{seal(t, v, id, id, 0, first, 1200), seal(t, v, id, id, 1, second, 1200)},
			inspect.Complete},
		{"the server has chosen another id", [][]byte{seal(t, v, id, id, 0, first, 1200),
			seal(t, v, other, id, 1, second, 1200)}, inspect.Complete},
		{"after a Retry", [][]byte{seal(t, v, id, id, 0, first, 1200),
			seal(t, v, other, other, 1, first, 1200), seal(t, v, other, other, 2, second, 1200)},
			inspect.Complete},
		{"0-RTT before", [][]byte{append(zeroRTT, seal(t, v, id, id, 0, append(first, second...),
			1200)...)}, inspect.Complete},
		{"then another protocol", [][]byte{seal(t, v, id, id, 0, append(first, second...), 1200),
			[]byte("?")}, inspect.Complete},
		{"small datagrams", [][]byte{seal(t, v, id, id, 0, append(first, second...), 1199)},
			inspect.More},
		{"other bytes", [][]byte{seal(t, v, id, id, 0, first, 1200),
			seal(t, v, id, id, 1, frame(1, []byte("XX")), 1200)}, inspect.Malformed},
		{"a frame of another kind", [][]byte{seal(t, v, id, id, 0, []byte{8, 0}, 1200)},
			inspect.Malformed},
		{"far ahead", [][]byte{seal(t, v, id, id, 0, []byte{frameCrypto, 0x80, 1, 0, 0, 1, 0}, 1200)},
			inspect.Malformed},
		{"a short id", [][]byte{seal(t, v, id[:7], id[:7], 0, first, 1200)}, inspect.More},
		{"another version", [][]byte{unknown}, inspect.Other},
		{"a short header", [][]byte{append([]byte{0x40}, make([]byte, 1300)...)}, inspect.Other},
		{"DNS", [][]byte{{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}}, inspect.Other},
		{"empty", [][]byte{{}}, inspect.Other},
		{"cut", [][]byte{seal(t, v, id, id, 0, first, 1200)[:1199]}, inspect.Malformed},
	} {
		if h, status := Parse(slices.Values(c.datagrams)); status != c.want {
			t.Errorf("%s: %q, %v, want %v", c.name, h.ServerName, status, c.want)
		}
	}
}

// FuzzParse looks for panics in what is before the encryption, and in what is behind it.
func FuzzParse(f *testing.F) {
	f.Add(sample(f, "rfc9001"), frame(0, message()))
	f.Add(sample(f, "rfc9369"), []byte{frameClose, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, datagram, payload []byte) {
		Parse(slices.Values([][]byte{datagram}))
		if len(payload) < 1100 {
			Parse(slices.Values([][]byte{seal(t, &versions[0], id, id, 0, payload, 1200)}))
		}
	})
}
