// SPDX-License-Identifier: GPL-2.0-or-later

// Package nlwire reads and appends netlink messages and attributes (struct
// nlmsghdr and struct nlattr of linux/netlink.h). It knows nothing of what they
// carry, never allocates when it reads, and never panics on malformed input.
//
// Headers are in the byte order of the host, as the kernel writes them.
package nlwire

import "encoding/binary"

const (
	// HeaderLen is the size of struct nlmsghdr.
	HeaderLen = 16
	// AttrHeaderLen is the size of struct nlattr.
	AttrHeaderLen = 4

	// attrTypeMask removes NLA_F_NESTED and NLA_F_NET_BYTEORDER.
	attrTypeMask = 0x3fff
	// Nested is NLA_F_NESTED, set on the type of an attribute that holds others.
	Nested = 0x8000
)

// Message types and flags of linux/netlink.h.
const (
	TypeNoop  = 1 // NLMSG_NOOP
	TypeError = 2 // NLMSG_ERROR, also an acknowledgement (error 0)
	TypeDone  = 3 // NLMSG_DONE

	FlagRequest = 0x1 // NLM_F_REQUEST
	FlagAck     = 0x4 // NLM_F_ACK
)

// Align rounds n up to the four bytes at which messages and attributes start.
func Align(n int) int { return (n + 3) &^ 3 }

// Header is struct nlmsghdr.
type Header struct {
	Len   uint32
	Type  uint16
	Flags uint16
	Seq   uint32
	PID   uint32
}

// ParseHeader reads the header at the start of b. It reports false when b is
// shorter than a header.
func ParseHeader(b []byte) (Header, bool) {
	if len(b) < HeaderLen {
		return Header{}, false
	}
	return Header{
		Len:   binary.NativeEndian.Uint32(b),
		Type:  binary.NativeEndian.Uint16(b[4:]),
		Flags: binary.NativeEndian.Uint16(b[6:]),
		Seq:   binary.NativeEndian.Uint32(b[8:]),
		PID:   binary.NativeEndian.Uint32(b[12:]),
	}, true
}

// Next splits the first message off b: msg is the message with its header, rest
// what follows it at the next alignment boundary. The last message of a datagram
// may end unaligned, as nfnetlink_queue's do. It reports false at the end of b
// and when the stated length is impossible.
func Next(b []byte) (msg, rest []byte, ok bool) {
	if len(b) < HeaderLen {
		return nil, nil, false
	}
	n := uint64(binary.NativeEndian.Uint32(b))
	if n < HeaderLen || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[min(Align(int(n)), len(b)):], true
}

// AppendHeader appends a header. The length is set by Finish when the rest of
// the message has been appended.
func AppendHeader(b []byte, typ, flags uint16, seq uint32) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return append(b, 0, 0, 0, 0)
}

// Finish sets the length of the message which starts at b[start:] and ends with b.
func Finish(b []byte, start int) {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
}

// Errno reads the error number of an NLMSG_ERROR message's body (what follows
// the header) as a positive number, 0 for an acknowledgement, and the header of
// the request that it answers.
func Errno(body []byte) (errno int32, request Header, ok bool) {
	if len(body) < 4 {
		return 0, Header{}, false
	}
	request, ok = ParseHeader(body[4:])
	return -int32(binary.NativeEndian.Uint32(body)), request, ok
}
