// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// batch is a transaction of nf_tables: messages between NFNL_MSG_BATCH_BEGIN and
// NFNL_MSG_BATCH_END, sent as one datagram. A message's sequence number is its index.
type batch struct {
	buf   []byte
	start int // of the last message
	about []subject
}

// subject is what a message of a batch is about.
type subject struct {
	kind  subjectKind
	rule  int           // index of the Rule, for a rule
	parts []partAddress // of a rule
}

type subjectKind int

const (
	aboutBatch subjectKind = iota
	aboutTable
	aboutChain
	aboutRule
	aboutSet
)

// partAddress is the offset, from the start of the message, of the attribute that
// holds an expression.
type partAddress struct {
	what   string
	offset uint32
}

func newBatch() *batch {
	b := &batch{}
	b.begin(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, subject{})
	b.end()
	return b
}

// begin appends the header of a message (struct nlmsghdr and struct nfgenmsg).
func (b *batch) begin(typ, flags uint16, family uint8, resource uint16, s subject) {
	b.start = len(b.buf)
	b.buf = nlwire.AppendHeader(b.buf, typ, nlwire.FlagRequest|flags, uint32(len(b.about)))
	b.buf = append(b.buf, family, unix.NFNETLINK_V0, byte(resource>>8), byte(resource))
	b.about = append(b.about, s)
}

func (b *batch) end() { nlwire.Finish(b.buf, b.start) }

// message begins a message of nf_tables.
func (b *batch) message(typ, flags uint16, family uint8, s subject) {
	b.begin(unix.NFNL_SUBSYS_NFTABLES<<8|typ, flags, family, 0, s)
}

// finish ends the batch. Only the last message of nf_tables asks for an
// acknowledgement; errors are answered in any case.
func (b *batch) finish() []byte {
	flags := b.buf[b.start+6:] // of struct nlmsghdr
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|nlwire.FlagAck)
	b.begin(unix.NFNL_MSG_BATCH_END, 0, unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, subject{})
	b.end()
	return b.buf
}

func (b *batch) text(typ uint16, s string) {
	b.buf = nlwire.AppendAttr(b.buf, typ, append([]byte(s), 0))
}

func (b *batch) number(typ uint16, n uint32) { b.buf = nlwire.AppendAttrU32(b.buf, typ, n) }

// addTable makes a table. One that exists must have the same flags and owner.
func (b *batch) addTable(family uint8, name string, flags uint32) {
	b.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, family, subject{kind: aboutTable})
	b.text(unix.NFTA_TABLE_NAME, name)
	b.number(unix.NFTA_TABLE_FLAGS, flags)
	b.end()
}

// deleteTable deletes a table with all that is in it.
func (b *batch) deleteTable(family uint8, name string) {
	b.message(unix.NFT_MSG_DELTABLE, 0, family, subject{kind: aboutTable})
	b.text(unix.NFTA_TABLE_NAME, name)
	b.end()
}

// addRegularChain makes a chain that no packet passes by itself, unless there is one.
func (b *batch) addRegularChain(family uint8, table, name string) {
	b.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, family, subject{kind: aboutChain})
	b.text(unix.NFTA_CHAIN_TABLE, table)
	b.text(unix.NFTA_CHAIN_NAME, name)
	b.end()
}

// deleteChain deletes a chain with its rules.
func (b *batch) deleteChain(family uint8, table, name string) {
	b.deleteRules(family, table, name)
	b.message(unix.NFT_MSG_DELCHAIN, 0, family, subject{kind: aboutChain})
	b.text(unix.NFTA_CHAIN_TABLE, table)
	b.text(unix.NFTA_CHAIN_NAME, name)
	b.end()
}

// addChain makes a base chain which accepts what no rule decides. One that exists must have the
// same hook and priority.
func (b *batch) addChain(family uint8, table, name string, hook uint8, priority int32) {
	b.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, family, subject{kind: aboutChain})
	b.text(unix.NFTA_CHAIN_TABLE, table)
	b.text(unix.NFTA_CHAIN_NAME, name)
	nest := len(b.buf)
	b.buf = nlwire.AppendNest(b.buf, unix.NFTA_CHAIN_HOOK)
	b.number(unix.NFTA_HOOK_HOOKNUM, uint32(hook))
	b.number(unix.NFTA_HOOK_PRIORITY, uint32(priority))
	nlwire.EndNest(b.buf, nest)
	b.number(unix.NFTA_CHAIN_POLICY, 1) // NF_ACCEPT
	b.text(unix.NFTA_CHAIN_TYPE, "filter")
	b.end()
}

// addRule appends a rule to a chain, and makes the sets for it. index is that of the Rule it does.
func (b *batch) addRule(family uint8, table, chain string, index int, parts []part) error {
	for i, p := range parts {
		if lookup, ok := p.expr.(*expr.Lookup); ok {
			inSet := *lookup
			inSet.SetName, inSet.SetID = setName, b.addSet(family, table, p)
			parts[i].expr = &inSet
		}
	}
	s := subject{kind: aboutRule, rule: index}
	b.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, family, s)
	b.text(unix.NFTA_RULE_TABLE, table)
	b.text(unix.NFTA_RULE_CHAIN, chain)
	list := len(b.buf)
	b.buf = nlwire.AppendNest(b.buf, unix.NFTA_RULE_EXPRESSIONS)
	for _, p := range parts {
		data, err := expr.Marshal(family, p.expr)
		if err != nil {
			return fmt.Errorf("rule %d: %s: %w", index+1, p.what, err)
		}
		s.parts = append(s.parts, partAddress{p.what, uint32(len(b.buf) - b.start)})
		b.buf = nlwire.AppendAttr(b.buf, unix.NFTA_LIST_ELEM|nlwire.Nested, data)
	}
	nlwire.EndNest(b.buf, list)
	b.end()
	b.about[len(b.about)-1] = s
	return nil
}

// setName has the kernel make a name.
const setName = "__set%d"

// elementsPerMessage keeps an attribute below its limit of 64 KiB, with IPv6 addresses too.
const elementsPerMessage = 1000

// addSet makes a set for one rule, which ends with the rule, and returns by which number the rule
// finds it in the batch.
func (b *batch) addSet(family uint8, table string, p part) (id uint32) {
	const flags = unix.NFT_SET_ANONYMOUS | unix.NFT_SET_CONSTANT | unix.NFT_SET_INTERVAL
	id = uint32(len(b.about))
	begin := func(typ uint16) {
		b.message(typ, unix.NLM_F_CREATE, family, subject{kind: aboutSet})
		b.text(unix.NFTA_SET_TABLE, table) // NFTA_SET_ELEM_LIST_TABLE and _SET have the same numbers
		b.text(unix.NFTA_SET_NAME, setName)
	}
	begin(unix.NFT_MSG_NEWSET)
	b.number(unix.NFTA_SET_FLAGS, flags)
	b.number(unix.NFTA_SET_KEY_TYPE, setTypes[len(p.set[0].first)])
	b.number(unix.NFTA_SET_KEY_LEN, uint32(len(p.set[0].first)))
	b.number(unix.NFTA_SET_ID, id)
	b.end()
	for some := range slices.Chunk(p.set, elementsPerMessage/2) {
		begin(unix.NFT_MSG_NEWSETELEM)
		b.number(unix.NFTA_SET_ELEM_LIST_SET_ID, id)
		list := len(b.buf)
		b.buf = nlwire.AppendNest(b.buf, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
		for _, i := range some {
			b.element(i.first, 0)
			if end, ok := next(i.last); ok {
				b.element(end, unix.NFT_SET_ELEM_INTERVAL_END)
			}
		}
		nlwire.EndNest(b.buf, list)
		b.end()
	}
	return id
}

// setTypes are how nft calls the elements of a set, by their size: a port (inet_service), an IPv4
// and an IPv6 address. The kernel only tells nft.
var setTypes = map[int]uint32{2: 13, 4: 7, 16: 8}

// element adds an end of an interval to a set.
func (b *batch) element(key []byte, flags uint32) {
	start := len(b.buf)
	b.buf = nlwire.AppendNest(b.buf, unix.NFTA_LIST_ELEM)
	value := len(b.buf)
	b.buf = nlwire.AppendNest(b.buf, unix.NFTA_SET_ELEM_KEY)
	b.buf = nlwire.AppendAttr(b.buf, unix.NFTA_DATA_VALUE, key)
	nlwire.EndNest(b.buf, value)
	b.number(unix.NFTA_SET_ELEM_FLAGS, flags)
	nlwire.EndNest(b.buf, start)
}

// next returns the number after another. There is none after the last.
func next(number []byte) ([]byte, bool) {
	n := slices.Clone(number)
	for i := range slices.Backward(n) {
		n[i]++
		if n[i] != 0 {
			return n, true
		}
	}
	return nil, false
}

// deleteRules deletes all rules of a chain, or of a table if chain is empty.
func (b *batch) deleteRules(family uint8, table, chain string) {
	b.message(unix.NFT_MSG_DELRULE, 0, family, subject{kind: aboutTable})
	b.text(unix.NFTA_RULE_TABLE, table)
	if chain != "" {
		b.text(unix.NFTA_RULE_CHAIN, chain)
	}
	b.end()
}
