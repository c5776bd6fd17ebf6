// SPDX-License-Identifier: GPL-2.0-or-later

package queuerules

import (
	"encoding/binary"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleAttributes encodes a rule.
func ruleAttributes(t *testing.T, expressions ...expr.Any) []byte {
	var b []byte
	b = nlwire.AppendAttr(b, unix.NFTA_RULE_TABLE, []byte("filter\x00"))
	b = nlwire.AppendAttr(b, unix.NFTA_RULE_CHAIN, []byte("input\x00"))
	b = nlwire.AppendAttr(b, unix.NFTA_RULE_HANDLE, binary.BigEndian.AppendUint64(nil, 7))
	start := len(b)
	b = nlwire.AppendNest(b, unix.NFTA_RULE_EXPRESSIONS)
	for _, e := range expressions {
		data, err := expr.Marshal(unix.NFPROTO_IPV4, e)
		if err != nil {
			t.Fatal(err)
		}
		b = nlwire.AppendAttr(b, unix.NFTA_LIST_ELEM|nlwire.Nested, data)
	}
	nlwire.EndNest(b, start)
	return b
}

func TestParseRule(t *testing.T) {
	const chain = "nftables ip filter input"
	const where, del = chain + " handle 7", "nft delete rule ip filter input handle 7"
	counter := &expr.Counter{}
	for name, test := range map[string]struct {
		queue expr.Any
		want  Rule
		ok    bool
	}{
		"native": {
			&expr.Queue{Num: 5, Total: 1},
			Rule{Chain: chain, Where: where, Delete: del, First: 5, Last: 5}, true,
		},
		"native, spread": {
			&expr.Queue{Num: 5, Total: 4, Flag: expr.QueueFlagBypass},
			Rule{Chain: chain, Where: where, Delete: del, First: 5, Last: 8, Bypass: true}, true,
		},
		"no queue": {&expr.Verdict{Kind: expr.VerdictAccept}, Rule{}, false},
	} {
		got, ok := parseRule(unix.NFPROTO_IPV4, ruleAttributes(t, counter, test.queue))
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %+v, %t; want %+v", name, got, ok, test.want)
		}
	}
}

func TestParseMappedRule(t *testing.T) {
	var r Rule
	queue := nlwire.AppendAttrU32(nil, unix.NFTA_QUEUE_SREG_QNUM, unix.NFT_REG_1)
	if r.setQueue(queue); !r.Mapped {
		t.Errorf("%+v, want one whose queue is from a map", r)
	}
}

func TestSetTarget(t *testing.T) {
	info := func(n ...uint16) (b []byte) {
		for _, v := range n {
			b = binary.NativeEndian.AppendUint16(b, v)
		}
		return b
	}
	for _, test := range []struct {
		revision uint32
		info     []byte
		want     Rule
		ok       bool
	}{
		{0, info(5), Rule{First: 5, Last: 5}, true},
		{1, info(5, 3), Rule{First: 5, Last: 7}, true},
		{2, info(5, 3, 1), Rule{First: 5, Last: 7, Bypass: true}, true},
		{3, info(65535, 1, 2, 0), Rule{First: 65535, Last: 65535}, true},
		{3, info(0, 2, 3, 0), Rule{Last: 1, Bypass: true}, true},
		{3, info(5, 3), Rule{}, false},
		{4, info(5, 3, 1, 0), Rule{}, false},
	} {
		var got Rule
		if ok := got.setTarget(test.revision, test.info); ok != test.ok || got != test.want {
			t.Errorf("revision %d: %+v, %t; want %+v", test.revision, got, ok, test.want)
		}
	}
}
