// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// ne writes a netlink or attribute header in host order.
func ne16(v ...uint16) (b []byte) {
	for _, x := range v {
		b = binary.NativeEndian.AppendUint16(b, x)
	}
	return b
}

func ne32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.NativeEndian.AppendUint32(b, x)
	}
	return b
}

// Every attribute, in the kernel's order, byte by byte.
func TestMessage(t *testing.T) {
	full := Packet{
		Family: familyBridge, EtherType: 0x86dd, Hook: 2,
		InDev: 0x101, OutDev: 0x102, PhysInDev: 0x103, PhysOutDev: 0x104,
		Mark: 0x105, Priority: 0x106, HardwareAddr: []byte{1, 2, 3, 4, 5, 6},
		VLAN: VLAN{0x2001, 0x8100}, LinkHeader: []byte("14 bytes long!"),
		Time: time.Unix(0x107, 0x108000), Owner: &Owner{0x109, 0x10a}, ClassID: 0x10b,
		SecCtx: []byte("ctx\x00\x00"), Conntrack: []byte{8, 0, 1, 0, 9, 9, 9, 9}, ConntrackInfo: 0x10c,
		SKBInfo: skbGSO, Payload: []byte("seven b"),
	}
	for _, c := range []struct {
		name  string
		queue queue
		p     Packet
		attrs [][]byte
	}{
		{"everything", queue{number: 0x1234, mode: copyPacket, copyRange: 3, flags: knownFlags}, full,
			[][]byte{
				{7, 0, 0x12, 0x34},
				ne16(11, 1), {0, 0, 0, 9, 0x86, 0xdd, 2, 0},
				ne16(8, 7), {0, 0, 1, 3},
				ne16(8, 5), {0, 0, 1, 1},
				ne16(8, 8), {0, 0, 1, 4},
				ne16(8, 6), {0, 0, 1, 2},
				ne16(8, 3), {0, 0, 1, 5},
				ne16(8, 21), {0, 0, 1, 6},
				ne16(16, 9), {0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0},
				ne16(20, 19|0x8000), ne16(6, 2), {0x20, 1, 0, 0}, ne16(6, 1), {0x81, 0, 0, 0},
				ne16(18, 20), []byte("14 bytes long!\x00\x00"),
				ne16(20, 4), {0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 4, 0x39},
				ne16(8, 16), {0, 0, 1, 9},
				ne16(8, 17), {0, 0, 1, 0xa},
				ne16(8, 22), {0, 0, 1, 0xb},
				ne16(9, 18), []byte("ctx\x00\x00\x00\x00\x00"),
				ne16(12, 11|0x8000), {8, 0, 1, 0, 9, 9, 9, 9},
				ne16(8, 12), {0, 0, 1, 0xc},
				ne16(8, 13), {0, 0, 0, 7},
				ne16(8, 14), {0, 0, 0, 2},
				ne16(7, 10), []byte("sev"),
			}},
		{"only what is there", queue{mode: copyPacket, copyRange: 7, flags: knownFlags},
			Packet{Family: familyIPv4, EtherType: 0x0800, Hook: 3, Payload: []byte("seven b")}, [][]byte{
				{2, 0, 0, 0},
				ne16(11, 1), {0, 0, 0, 9, 8, 0, 3, 0},
				ne16(11, 10), []byte("seven b"), // neither cut nor padded
			}},
		{"known in part", queue{mode: copyPacket, copyRange: 7},
			Packet{Family: familyIPv4, EtherType: 0x0800, Hook: 3, Payload: []byte("seven b"), Len: 0x109},
			[][]byte{
				{2, 0, 0, 0},
				ne16(11, 1), {0, 0, 0, 9, 8, 0, 3, 0},
				ne16(8, 13), {0, 0, 1, 9},
				ne16(11, 10), []byte("seven b"),
			}},
		{"port after device", queue{mode: copyMeta},
			Packet{Family: familyIPv6, EtherType: 0x86dd, InDev: 1, PhysInDev: 2, OutDev: 3, PhysOutDev: 4,
				SKBInfo: 1, Payload: []byte("x")}, [][]byte{
				{10, 0, 0, 0},
				ne16(11, 1), {0, 0, 0, 9, 0x86, 0xdd, 0, 0},
				ne16(8, 5), {0, 0, 0, 1},
				ne16(8, 7), {0, 0, 0, 2},
				ne16(8, 6), {0, 0, 0, 3},
				ne16(8, 8), {0, 0, 0, 4},
				ne16(8, 14), {0, 0, 0, 1},
			}},
		{"not at this hook, not in this family", queue{mode: copyMeta},
			Packet{Family: familyIPv4, Hook: 4, HardwareAddr: []byte{1}, VLAN: VLAN{1, 2},
				LinkHeader: []byte("x"), Time: time.Now()}, [][]byte{
				{2, 0, 0, 0},
				ne16(11, 1), {0, 0, 0, 9, 0, 0, 4, 0},
			}},
	} {
		body := bytes.Join(c.attrs, nil)
		want := append(ne32(uint32(16+len(body))), ne16(0x300, 0)...)
		want = append(append(want, ne32(0, 0)...), body...)
		if got := c.queue.message(9, &c.p); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x, want\n%x", c.name, got, want)
		}
	}
}
