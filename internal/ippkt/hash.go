// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// hashSeed differs from process to process, so that a sender cannot choose
// flows that share a hash.
var hashSeed = [6]uint64{
	rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(),
}

// Hash returns a hash that is equal for both directions of a conversation, and
// differs between processes. It covers addresses, protocol, ports and ICMPID.
//
// Of a fragment it covers the addresses alone, because only the first has
// ports and, in IPv6, not all need to state the same protocol (RFC 8200
// section 4.5). So all fragments of a datagram have one hash, but another one
// than packets of their conversation that are not fragmented.
//
// All 64 bits are equally good. See [HashOf] for ICMP errors.
func (f Flow) Hash() uint64 { return f.hash() }

func (f *Flow) hash() uint64 {
	var srcPort, dstPort, rest uint64
	if !f.Fragment {
		srcPort, dstPort = uint64(f.SrcPort), uint64(f.DstPort)
		rest = uint64(f.Protocol)<<16 | uint64(f.ICMPID)
	}
	// A sum of one hash for each end does not depend on their order.
	h := hashEnd(f.Src, srcPort) + hashEnd(f.Dst, dstPort)
	return mix(mix(h^hashSeed[3], rest^hashSeed[4]), hashSeed[5])
}

// HashOf returns the hash of the flow that the packet b belongs to: of an ICMP
// error [QuotedFlow], which is the conversation that it is about, else
// [FlowOf]. A fragment of an ICMP error hashes like any fragment. All packets
// without a readable IP header have one hash.
func HashOf(b []byte) uint64 {
	l, err := Parse(b)
	if err == nil && !l.Fragment() {
		if f, ok := l.quotedFlow(b); ok {
			return f.Hash()
		}
	}
	var f Flow
	l.flow(&f, b, err == nil)
	return f.hash()
}

// hashEnd hashes an address and a port.
func hashEnd(addr netip.Addr, port uint64) uint64 {
	var hi, lo uint64
	if addr.Is4() {
		a := addr.As4()
		lo = uint64(binary.BigEndian.Uint32(a[:]))
	} else {
		a := addr.As16()
		hi, lo = binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	}
	h := mix(hi^hashSeed[0], lo^hashSeed[1])
	return mix(h^port, hashSeed[2])
}

// mix folds the 128-bit product of a and b, of which every bit depends on all
// bits of both.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
