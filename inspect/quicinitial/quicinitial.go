// SPDX-License-Identifier: GPL-2.0-or-later

// Package quicinitial reads the server name from the first packets of a QUIC client
// (RFC 9000, RFC 9001, RFC 9369). They are encrypted with keys that they themselves tell.
package quicinitial

import (
	"encoding/binary"
	"iter"

	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
)

const (
	// minDatagram is the size of the smallest datagram in which a server takes an Initial
	// packet (RFC 9000 section 14.1).
	minDatagram = 1200
	minDestID   = 8 // of the first packet, RFC 9000 section 7.2
	maxConnID   = 20
	// maxCrypto bounds the ClientHello. Servers take less.
	maxCrypto = 1 << 16
)

// Parse reads the ClientHello from the datagrams that a client has sent so far. Versions 1
// and 2 are understood; a datagram that starts with anything else is Other. The packets of
// a datagram, and the CRYPTO frames of a ClientHello, may come in any order. Packets that a
// server would discard do not count: those that cannot be decrypted, or are in too small a
// datagram.
func Parse(datagrams iter.Seq[[]byte]) (tlshello.Hello, inspect.Status) {
	var c client
	first := true
	for d := range datagrams {
		status := c.datagram(d)
		if status == inspect.Other && first || status == inspect.Malformed {
			return tlshello.Hello{}, status
		}
		first = false
	}
	return tlshello.ParseHandshake(c.hello.contiguous())
}

// client is what the packets of a client say.
type client struct {
	keys  []keys // those of the first packet, and of the one that answers a Retry
	hello crypto
}

// datagram reads the packets of a datagram.
func (c *client) datagram(b []byte) inspect.Status {
	if len(b) == 0 {
		return inspect.Other
	}
	size := len(b)
	for packets := 0; len(b) > 0; packets++ {
		var h header
		ok := h.read(b)
		if !ok || h.version == nil {
			if packets > 0 {
				return inspect.Complete // padding, or a packet with a short header
			}
			if !ok && b[0]&0x80 != 0 && versionOf(b) != nil {
				return inspect.Malformed
			}
			return inspect.Other
		}
		b = b[h.end:]
		if h.kind != h.version.initial || size < minDatagram {
			continue
		}
		if !c.initial(&h) {
			return inspect.Malformed
		}
	}
	return inspect.Complete
}

// initial reads an Initial packet. It reports false if what is in it is not allowed.
func (c *client) initial(h *header) bool {
	for i := range c.keys {
		if payload := c.keys[i].open(h); payload != nil {
			return c.frames(payload)
		}
	}
	// A server that sends a Retry chooses another id, and both ends make keys of it
	// (RFC 9001 section 5.2).
	if len(c.keys) >= 2 || len(h.destID) < minDestID && len(c.keys) == 0 {
		return true
	}
	k, err := newKeys(h.version, h.destID)
	if err != nil {
		return true
	}
	payload := k.open(h)
	if payload == nil {
		return true
	}
	c.keys = append(c.keys, k)
	return c.frames(payload)
}

// Types of frames that an Initial packet may have (RFC 9000 section 12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
	frameClose   = 0x1c
)

// frames reads the frames of an Initial packet.
func (c *client) frames(b []byte) bool {
	r := reader{b: b}
	for len(r.b) > 0 && !r.failed {
		switch r.varint() {
		case framePadding, framePing:
		case frameACK:
			r.ack()
		case frameACKECN:
			r.ack()
			r.varint()
			r.varint()
			r.varint()
		case frameCrypto:
			at := r.varint()
			data := r.take(r.varint())
			if !r.failed && !c.hello.add(at, data) {
				return false
			}
		case frameClose:
			r.varint() // error code
			r.varint() // frame type
			r.take(r.varint())
		default:
			return false
		}
	}
	return !r.failed
}

// crypto puts CRYPTO frames together. The zero value is empty.
type crypto struct {
	data []byte
	have []bool
}

// add adds data at an offset. It reports false if a byte is not what it was.
func (c *crypto) add(at uint64, data []byte) bool {
	if at+uint64(len(data)) > maxCrypto {
		return false
	}
	end := int(at) + len(data)
	if grow := end - len(c.data); grow > 0 {
		c.data = append(c.data, make([]byte, grow)...)
		c.have = append(c.have, make([]bool, grow)...)
	}
	for i, b := range data {
		at := int(at) + i
		if c.have[at] && c.data[at] != b {
			return false
		}
		c.data[at], c.have[at] = b, true
	}
	return true
}

// contiguous returns what is there from the beginning on.
func (c *crypto) contiguous() []byte {
	for i, have := range c.have {
		if !have {
			return c.data[:i]
		}
	}
	return c.data
}

// reader reads from bytes. When they end too early it sets failed, and gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// varint reads a variable-length integer (RFC 9000 section 16).
func (r *reader) varint() uint64 {
	if r.failed || len(r.b) == 0 {
		r.failed = true
		return 0
	}
	b := r.take(1 << (r.b[0] >> 6))
	if b == nil {
		return 0
	}
	var v [8]byte
	copy(v[8-len(b):], b)
	v[8-len(b)] &= 0x3f
	return binary.BigEndian.Uint64(v[:])
}

// ack skips an ACK frame (RFC 9000 section 19.3).
func (r *reader) ack() {
	r.varint() // largest acknowledged
	r.varint() // delay
	ranges := r.varint()
	r.varint() // first range
	for ; ranges > 0 && !r.failed; ranges-- {
		r.varint()
		r.varint()
	}
}
