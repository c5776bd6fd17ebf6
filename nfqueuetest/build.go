// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
)

// IP makes an IPv4 or IPv6 packet, by the family of the addresses, which must be the same. body
// begins with the header of the protocol, or with an IPv6 extension header. IP sets the lengths and
// the checksums of ICMP, ICMPv6, IGMP, TCP, UDP, UDP-Lite, SCTP and DCCP. It panics if body cannot
// be part of a valid packet.
func IP(src, dst netip.Addr, protocol nfqueue.Protocol, body []byte) []byte {
	if src.Is4() != dst.Is4() || src.Is4In6() || dst.Is4In6() {
		must(fmt.Errorf("%v and %v are not of one family", src, dst))
	}
	const hops = 64
	var b []byte
	if src.Is4() {
		b = append(b, 0x45, 0, 0, 0, 0, 0, 0, 0, hops, byte(protocol), 0, 0)
	} else {
		b = append(b, 0x60, 0, 0, 0, 0, 0, byte(protocol), hops)
	}
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = append(b, body...)
	must(ippkt.Complete(b))
	return b
}

// UDP makes a UDP packet of the family of the addresses, which must be the same.
func UDP(src, dst netip.AddrPort, body []byte) []byte {
	return IP(src.Addr(), dst.Addr(), nfqueue.UDP, append([]byte{
		byte(src.Port() >> 8), byte(src.Port()), byte(dst.Port() >> 8), byte(dst.Port()), 0, 0, 0, 0,
	}, body...))
}

// TCPHeader is what a TCP header has besides ports and checksum. The zero value has no flag.
type TCPHeader struct {
	Seq, Ack uint32
	Flags    TCPFlags
	// Window is in bytes, before scaling. Zero stands for 65535.
	Window uint16
	// Options are at most 40 bytes in wire format. They are padded with zeros, which end a list of
	// options, to a multiple of 4.
	Options []byte
}

// TCPFlags are the flags of a TCP header (RFC 9293 section 3.1).
type TCPFlags uint8

// Flags of a TCP header.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// TCP makes a TCP segment of the family of the addresses, which must be the same.
func TCP(src, dst netip.AddrPort, h TCPHeader, body []byte) []byte {
	if len(h.Options) > 40 {
		must(fmt.Errorf("%d bytes of TCP options, want at most 40", len(h.Options)))
	}
	if h.Window == 0 {
		h.Window = 65535
	}
	words := 5 + (len(h.Options)+3)/4
	b := make([]byte, words*4)
	binary.BigEndian.PutUint16(b[0:], src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], h.Seq)
	binary.BigEndian.PutUint32(b[8:], h.Ack)
	b[12], b[13] = byte(words)<<4, byte(h.Flags)
	binary.BigEndian.PutUint16(b[14:], h.Window)
	copy(b[20:], h.Options)
	return IP(src.Addr(), dst.Addr(), nfqueue.TCP, append(b, body...))
}

// Echo makes an ICMP or ICMPv6 echo request, by the family of the addresses, which must be the
// same.
func Echo(src, dst netip.Addr, id, seq uint16, body []byte) []byte {
	protocol, request := nfqueue.ICMP, byte(8)
	if src.Is6() {
		protocol, request = nfqueue.ICMPv6, 128
	}
	return IP(src, dst, protocol, append([]byte{
		request, 0, 0, 0, byte(id >> 8), byte(id), byte(seq >> 8), byte(seq),
	}, body...))
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("nfqueuetest: build a packet: %v", err))
	}
}
