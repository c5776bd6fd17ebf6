// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestConfigMessage compares with the bytes of the kernel's structures.
func TestConfigMessage(t *testing.T) {
	maxLen := uint32(4096)
	c := Change{Cmd: CmdBind, Copy: &Copy{Range: 0xfffb, Mode: 2}, MaxLen: &maxLen, Mask: 5, Flags: 4}
	host16 := func(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
	host32 := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	want := bytes.Join([][]byte{
		host32(64), host16(0x0302), host16(5), host32(9), host32(0), // nlmsghdr
		{0, 0, 2, 1},                       // nfgenmsg: queue 513
		host16(8), host16(1), {1, 0, 0, 0}, // CMD: BIND
		host16(9), host16(2), {0, 0, 0xff, 0xfb, 2}, {0, 0, 0}, // PARAMS
		host16(8), host16(3), {0, 0, 0x10, 0}, // QUEUE_MAXLEN
		host16(8), host16(5), {0, 0, 0, 4}, // FLAGS
		host16(8), host16(4), {0, 0, 0, 5}, // MASK
	}, nil)
	if got := c.AppendTo(nil, 513, 9); !bytes.Equal(got, want) {
		t.Errorf("message\n% x, want\n% x", got, want)
	}
}
