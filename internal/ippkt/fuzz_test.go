// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

func addKernelPackets(f *testing.F) {
	for _, p := range kernelPackets {
		f.Add(unhex(f, p.hex))
	}
}

func FuzzParse(f *testing.F) {
	addKernelPackets(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		l, err := Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Parse wrote to the packet")
		}
		if l.Version == 0 {
			if err == nil || l != (Layout{}) {
				t.Fatalf("%+v, %v", l, err)
			}
			return
		}
		if l.Len > len(b) || l.TransportHeaderOffset < 0 || l.TransportHeaderOffset > l.Len {
			t.Fatalf("out of bounds: %+v", l)
		}
		if l.FragmentOffset < 0 || l.FragmentOffset > 65528 || l.FragmentOffset%8 != 0 {
			t.Fatalf("impossible fragment offset: %+v", l)
		}
		if err != nil {
			return
		}
		if l.HeaderLen < ipv4HeaderLen || l.HeaderLen > l.TransportHeaderOffset {
			t.Fatalf("header length: %+v", l)
		}
		if l.TotalLen == 0 && l.Len != len(b) || l.TotalLen > 0 && l.Len != min(l.TotalLen, len(b)) {
			t.Fatalf("length: %+v", l)
		}
		// What is no part of the packet must not matter.
		if cut, err := Parse(b[:l.Len]); err != nil || cut != l {
			t.Fatalf("without padding %+v, %v, want %+v", cut, err, l)
		}
	})
}

func FuzzComplete(f *testing.F) {
	addKernelPackets(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if err := Complete(b); err != nil {
			if !bytes.Equal(b, before) {
				t.Fatalf("%v, but the packet was changed:\n got %x\nwant %x", err, b, before)
			}
			return
		}
		l, err := Parse(b)
		if err != nil || l.Len != len(b) || l.TotalLen != len(b) && l.TotalLen != 0 {
			t.Fatalf("Parse: %+v, %v", l, err)
		}
		once := bytes.Clone(b)
		mustComplete(t, b)
		if !bytes.Equal(b, once) {
			t.Fatalf("twice is not once:\n got %x\nwant %x", b, once)
		}

		// Put the fields back that may change: nothing else may have.
		copyField := func(from, to int) { copy(b[from:to], before[from:to]) }
		h := once[l.TransportHeaderOffset:]
		var src, dst []byte
		if l.Version == 4 {
			if slowSum(once[:l.HeaderLen]) != 0xffff {
				t.Fatalf("IPv4 header checksum: %x", once)
			}
			copyField(2, 4)
			copyField(10, 12)
			src, dst = once[12:16], once[16:20]
		} else {
			copyField(4, 6)
			if l.jumbo > 0 {
				copyField(l.jumbo, l.jumbo+4)
			}
			src, dst = once[8:24], once[24:40]
		}
		pseudo := binary.BigEndian.AppendUint32(cat(src, dst), uint32(len(h)))
		pseudo = append(pseudo, 0, 0, 0, uint8(l.Protocol))
		at, cover := 0, len(h)
		switch {
		case l.Fragment():
		case l.Protocol == TCP:
			at = 16
		case l.Protocol == UDP:
			at = 6
			copyField(l.TransportHeaderOffset+4, l.TransportHeaderOffset+6)
			if n := binary.BigEndian.Uint16(h[4:]); int(n) != len(h) {
				t.Fatalf("UDP length %d, want %d", n, len(h))
			}
		case l.Protocol == UDPLite:
			at = 6
			if c := binary.BigEndian.Uint16(h[4:]); c != 0 {
				cover = int(c)
			}
		case l.Protocol == DCCP:
			at = 6
			if c := h[5] & 0xf; c != 0 {
				cover = int(h[4])*4 + int(c-1)*4
			}
		case l.Protocol == ICMPv6 && l.Version == 6:
			at = 2
		case l.Version == 4 && (l.Protocol == ICMP || l.Protocol == IGMP):
			at, pseudo = 2, nil
		case l.Protocol == SCTP:
			whole := bytes.Clone(h)
			clear(whole[8:12])
			if sum := binary.LittleEndian.Uint32(h[8:]); sum != crc32.Checksum(whole,
				crc32.MakeTable(crc32.Castagnoli)) {
				t.Fatalf("SCTP checksum %#08x of %x", sum, whole)
			}
			copyField(l.TransportHeaderOffset+8, l.TransportHeaderOffset+12)
		}
		if at > 0 {
			copyField(l.TransportHeaderOffset+at, l.TransportHeaderOffset+at+2)
			// finaldst_test.go has the packets with other addresses.
			if l.routing+l.homeAddress == 0 && (l.Version == 6 || l.HeaderLen == ipv4HeaderLen) {
				checkSum(t, pseudo, h, cover)
			}
		}
		if !bytes.Equal(b, before) {
			t.Fatalf("changed more than lengths and checksums:\n got %x\nfrom %x", once, before)
		}
	})
}

func FuzzFlow(f *testing.F) {
	addKernelPackets(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		flow, err := FlowOf(b)
		if flow.Src.IsValid() != flow.Dst.IsValid() || !flow.Src.IsValid() && (err == nil ||
			flow != (Flow{})) {
			t.Fatalf("%+v, %v", flow, err)
		}
		if flow.NoTransport && (flow.HasPorts() || flow.SrcPort|flow.DstPort|flow.ICMPID != 0) {
			t.Fatalf("no transport header, yet %+v", flow)
		}
		if err == nil {
			l, _ := Parse(b)
			if again, err := FlowOf(b[:l.Len]); err != nil || again != flow {
				t.Fatalf("without padding %+v, %v, want %+v", again, err, flow)
			}
		}
		quoted, ok := QuotedFlow(b)
		if !ok && quoted != (Flow{}) {
			t.Fatalf("%+v, false", quoted)
		}
		for _, x := range []Flow{flow, quoted} {
			if back := x.Reverse(); back.Reverse() != x {
				t.Fatalf("reversed twice %+v, want %+v", back.Reverse(), x)
			} else if back.Hash() != x.Hash() {
				t.Fatalf("the hash of %+v depends on the direction", x)
			}
		}
		want := flow.Hash()
		switch {
		case flow.Fragment:
			want = Flow{Src: flow.Src, Dst: flow.Dst, Fragment: true}.Hash()
		case ok:
			want = quoted.Hash()
		}
		if got := HashOf(b); got != want {
			t.Fatalf("HashOf %#x, want %#x", got, want)
		}
	})
}
