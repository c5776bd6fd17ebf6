// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// attr appends a netlink attribute whose value needs no padding but the last bytes.
func attr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// Only one of the two forms works on any one kernel, so both are compared with the bytes the
// kernel's headers ask for.
func TestQueueBytes(t *testing.T) {
	host := func(values ...uint16) (b []byte) {
		for _, v := range values {
			b = binary.NativeEndian.AppendUint16(b, v)
		}
		return b
	}
	q := Queue{Num: 0x0102, Total: 0x0304, Bypass: true, Fanout: true}
	const name, data, nested = 1, 2, unix.NLA_F_NESTED // NFTA_EXPR_*

	// NFTA_QUEUE_NUM, _TOTAL and _FLAGS are big endian.
	native := attr(nil, 1, []byte{1, 2})
	native = attr(native, 2, []byte{3, 4})
	native = attr(native, 3, []byte{0, 3})
	// NFTA_TARGET_NAME and _REV, and _INFO in host order.
	target := attr(nil, 1, []byte("NFQUEUE\x00"))
	target = attr(target, 2, []byte{0, 0, 0, 3})
	target = attr(target, 3, host(0x0102, 0x0304, 3, 0))

	for _, c := range []struct {
		name string
		way  queueExpr
		want []byte
	}{
		{"queue", nativeQueue, native},
		{"target", xtQueue, target},
	} {
		got, err := expr.Marshal(unix.NFPROTO_INET, c.way(q))
		if err != nil {
			t.Fatal(err)
		}
		want := attr(attr(nil, name, []byte(c.name+"\x00")), data|nested, c.want)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", c.name, got, want)
		}
	}
}
