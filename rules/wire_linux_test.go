// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Only one of the two forms works on any one kernel, so both are compared with the bytes
// that the kernel's headers ask for.
func TestQueueBytes(t *testing.T) {
	host := func(values ...uint16) (b []byte) {
		for _, v := range values {
			b = binary.NativeEndian.AppendUint16(b, v)
		}
		return b
	}
	r := Rule{Queue: 0x0102, Queues: 0x0304, Fanout: true}

	// NFTA_QUEUE_NUM, _TOTAL and _FLAGS are big endian.
	native := nlwire.AppendAttrU16(nil, 1, 0x0102)
	native = nlwire.AppendAttrU16(native, 2, 0x0304)
	native = nlwire.AppendAttrU16(native, 3, 3)
	// NFTA_TARGET_NAME and _REV, and _INFO in host order.
	target := nlwire.AppendAttr(nil, 1, []byte("NFQUEUE\x00"))
	target = nlwire.AppendAttrU32(target, 2, 3)
	target = nlwire.AppendAttr(target, 3, host(0x0102, 0x0304, 3, 0))

	for _, c := range []struct {
		name string
		way  queueExpr
		want []byte
	}{
		{"queue", nativeQueue, native},
		{"target", xtQueue, target},
	} {
		got, err := expr.Marshal(unix.NFPROTO_INET, c.way(r))
		if err != nil {
			t.Fatal(err)
		}
		want := nlwire.AppendAttr(nil, unix.NFTA_EXPR_NAME, []byte(c.name+"\x00"))
		want = nlwire.AppendAttr(want, unix.NFTA_EXPR_DATA|nlwire.Nested, c.want)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", c.name, got, want)
		}
	}
}

func TestParseReply(t *testing.T) {
	message := func(typ, flags uint16, body []byte) []byte {
		b := append(nlwire.AppendHeader(nil, typ, flags, 7), body...)
		nlwire.Finish(b, 0)
		return b
	}
	errno := -int32(unix.ENOENT)
	body := binary.NativeEndian.AppendUint32(nil, uint32(errno))
	body = nlwire.AppendHeader(body, 0x0a06, 0, 7)
	tlvs := nlwire.AppendAttr(body[:len(body):len(body)], unix.NLMSGERR_ATTR_OFFS,
		binary.NativeEndian.AppendUint32(nil, 44))
	tlvs = nlwire.AppendAttr(tlvs, unix.NLMSGERR_ATTR_MSG, []byte("why\x00"))
	const capped = unix.NLM_F_CAPPED | unix.NLM_F_ACK_TLVS

	for _, c := range []struct {
		name  string
		bytes []byte
		want  reply
	}{
		{"plain", message(nlwire.TypeError, unix.NLM_F_CAPPED, body), reply{message: 7, errno: 2}},
		{"explained", message(nlwire.TypeError, capped, tlvs),
			reply{message: 7, errno: 2, text: "why", offset: 44}},
		{"not capped", message(nlwire.TypeError, unix.NLM_F_ACK_TLVS, tlvs),
			reply{message: 7, errno: 2}},
	} {
		if got, err := parseReply(c.bytes); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	for n := range message(nlwire.TypeError, 0, body) {
		if _, err := parseReply(message(nlwire.TypeError, 0, body)[:n]); err == nil {
			t.Errorf("%d bytes were taken", n)
		}
	}
	if _, err := parseReply(message(nlwire.TypeDone, 0, body)); err == nil {
		t.Error("another type was taken")
	}
}
