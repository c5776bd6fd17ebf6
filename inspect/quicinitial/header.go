// SPDX-License-Identifier: GPL-2.0-or-later

package quicinitial

import "encoding/binary"

// version is what differs between versions of QUIC.
type version struct {
	number  uint32
	initial uint8 // type of an Initial packet
	retry   uint8
	salt    []byte
	label   string // what the labels of keys begin with
}

var versions = [...]version{
	{ // RFC 9001 section 5.2
		number: 1, initial: 0, retry: 3, label: "quic ",
		salt: []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"),
	},
	{ // RFC 9369 section 3
		number: 0x6b3343cf, initial: 1, retry: 0, label: "quicv2 ",
		salt: []byte("\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"),
	},
}

// versionOf returns the version of a packet with a long header, nil if it is unknown.
func versionOf(b []byte) *version {
	if len(b) < 5 {
		return nil
	}
	n := binary.BigEndian.Uint32(b[1:])
	for i := range versions {
		if versions[i].number == n {
			return &versions[i]
		}
	}
	return nil
}

// header is a long header (RFC 9000 section 17.2), and where its packet ends.
type header struct {
	version *version // nil if it is unknown
	kind    uint8
	destID  []byte
	packet  []byte // header and payload
	number  int    // where the packet number is
	end     int
}

// read reads the header of the packet that b begins with. It reports false if b does not
// begin with a whole packet that has a long header.
func (h *header) read(b []byte) bool {
	if len(b) < 5 || b[0]&0x80 == 0 {
		return false
	}
	if h.version = versionOf(b); h.version == nil {
		return true
	}
	h.kind = b[0] >> 4 & 3
	r := reader{b: b[5:]}
	h.destID = r.connID()
	r.connID()
	if h.kind == h.version.retry {
		h.end = len(b) // without a length; no client sends it
		return !r.failed
	}
	if h.kind == h.version.initial {
		r.take(r.varint()) // token
	}
	n := r.varint()
	h.number = len(b) - len(r.b)
	r.take(n)
	h.end = len(b) - len(r.b)
	h.packet = b[:h.end]
	return !r.failed
}

func (r *reader) connID() []byte {
	n := r.take(1)
	if n == nil || n[0] > maxConnID {
		r.failed = true
		return nil
	}
	return r.take(uint64(n[0]))
}
