// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// receiver is what a server has received of a client: bytes by their sequence number, from
// SYN to SYN.
type receiver struct {
	base uint32
	open bool
	data map[uint32]byte

	keeps bool // takes no notice of a SYN in a connection that it has
}

// receive takes a packet of the client, and returns the flags of the answer, if there is one.
func (r *receiver) receive(packet []byte) string {
	tcp := gopacket.NewPacket(packet, layers.LayerTypeIPv4,
		gopacket.Default).TransportLayer().(*layers.TCP)
	if tcp.RST {
		return "" // its data is none, as without an ACK
	}
	seq := tcp.Seq
	if tcp.SYN {
		seq++
		if tcp.ACK || r.open && r.keeps && seq != r.base {
			return "A"
		}
		if !r.open || seq != r.base {
			*r = receiver{base: seq, open: true, data: make(map[uint32]byte), keeps: r.keeps}
		}
		return "SA"
	} else if !tcp.ACK {
		return ""
	}
	for i, b := range tcp.Payload {
		if _, have := r.data[seq+uint32(i)]; r.open && !have {
			r.data[seq+uint32(i)] = b
		}
	}
	return "A"
}

// answer makes a packet of the server, which acknowledges what it has.
func (r *receiver) answer(flags string) []byte {
	seq := uint32(peerISN + 1)
	if flags == "SA" {
		seq--
	}
	return ends4.reverse().tcp(flags, seq, r.base+uint32(len(r.bytes())), "")
}

// bytes returns what is there from the first byte on.
func (r *receiver) bytes() string {
	var b []byte
	for at := r.base; ; at++ {
		c, have := r.data[at]
		if !have {
			return string(b)
		}
		b = append(b, c)
	}
}

// FuzzHold sends any segments of a client through a Tracker that holds. The server never
// has a byte of a line that is not accepted, whatever order, overlap, SYN, FIN or reset
// there is, and whatever the server ignores. Four bytes of input are a segment: flags, offset,
// length and what it says.
func FuzzHold(f *testing.F) {
	f.Add([]byte{0x02, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 3, 0, 0x10, 3, 2, 0})
	f.Add([]byte{0x02, 0, 4, 1, 0x10, 0, 3, 1, 0x04, 3, 0, 0, 0x10, 3, 2, 1, 0x02, 50, 0, 0, 0x11, 50,
		5, 0})
	f.Add([]byte{0x10, 2, 4, 0, 0x10, 0, 4, 0, 0x12, 0, 0, 0, 0x90, 0, 3, 0})
	f.Add([]byte{0x90, 0, 0, 0, 0x02, 50, 0, 0, 0x10, 1, 5, 1})
	f.Add([]byte{0x90, 0, 0, 0, 0x02, 0xfb, 0, 0, 0x10, 0xfc, 5, 0, 0x10, 1, 5, 1})
	f.Add([]byte{0x10, 0, 0, 0, 0x50, 1, 5, 0, 0x10, 1, 5, 1, 0x10, 1, 5, 0})
	f.Add([]byte{0x50, 1, 5, 0, 0x02, 0xf0, 0, 0, 0x50, 0xf1, 5, 0, 0x10, 1, 5, 1})
	texts := []string{"good\nand more of it", "bad!\nand more of it"}
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newLab(t, connection.Config{Hold: true, MaxPackets: 20, MaxHeld: 4}, line)
		e := ends4
		server := receiver{keeps: len(in) > 0 && in[0]&0x80 != 0}
		var flights []*nfqueuetest.Flight
		ignored := make(map[*nfqueuetest.Flight]bool) // by the server
		passed := func() {
			for i, f := range flights {
				if f == nil {
					continue
				}
				select {
				case <-f.Done():
					if r := f.Result(); r.Passed && !ignored[f] {
						if flags := server.receive(r.Payload); flags != "" && server.open {
							l.send(server.answer(flags))
						}
					}
					flights[i] = nil
				default:
				}
			}
			if got := server.bytes(); server.open && got != "" &&
				!strings.HasPrefix(got, "good\n"[:min(5, len(got))]) {
				t.Fatalf("the server has %q", got)
			}
		}
		flights = append(flights, l.send(e.tcp("S", isn, 0, ""))) // says who the client is
		l.send(e.port(9).tcp("S", 1, 0, "")).Result()             // the handler has returned
		passed()
		for n := 0; len(in) >= 4 && n < 40; in, n = in[4:], n+1 {
			seq := isn + uint32(int8(in[1]))
			text := texts[in[3]%2]
			from := min(max(int(int8(in[1]))-1, 0)%50, len(text))
			body := text[from:min(from+int(in[2]%20), len(text))]
			p := e.tcp("", seq, peerISN+1, body)
			p[33] = in[0] & 0x17
			binary.BigEndian.PutUint16(p[36:], 0)
			flight := l.send(p)
			flights = append(flights, flight)
			ignored[flight] = in[0]&0x40 != 0
			l.send(e.port(9).tcp("S", uint32(n), 0, "")).Result() // the handler has returned
			passed()
		}
		for range 3 { // so that nothing is held when the test ends
			l.send(e.tcp("S", isn+999+uint32(len(flights)), 0, "")).Result()
		}
		passed()
		if s := l.Stats(); s.Held != 0 || s.Memory != 0 || s.Conns > 2 {
			t.Fatalf("%+v", s)
		}
	})
}
