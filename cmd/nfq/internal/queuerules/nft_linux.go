// SPDX-License-Identifier: GPL-2.0-or-later

package queuerules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// NFTables returns the rules of nf_tables in the network namespace of the calling thread, those
// that iptables makes there too. It needs CAP_NET_ADMIN. A kernel without nf_tables has none.
func NFTables() ([]Rule, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE,
			Flags: netlink.Request | netlink.Dump,
		},
		// struct nfgenmsg: all families
		Data: []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // no such subsystem of netfilter's netlink
	}
	if err != nil {
		return nil, fmt.Errorf("rules of nf_tables: %w", err)
	}
	var rules []Rule
	for _, m := range replies {
		if len(m.Data) >= 4 {
			if r, ok := parseRule(m.Data[0], m.Data[4:]); ok {
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// families are the names that nft has for NFPROTO_*.
var families = map[uint8]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6",
	unix.NFPROTO_ARP:    "arp",
	unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_NETDEV: "netdev",
}

// parseRule reports whether the attributes are those of a rule that queues.
func parseRule(family uint8, attrs []byte) (r Rule, ok bool) {
	var table, chain string
	var handle uint64
	for typ, data := range attributes(attrs) {
		switch {
		case typ == unix.NFTA_RULE_TABLE:
			table = unix.ByteSliceToString(data)
		case typ == unix.NFTA_RULE_CHAIN:
			chain = unix.ByteSliceToString(data)
		case typ == unix.NFTA_RULE_HANDLE && len(data) == 8:
			handle = binary.BigEndian.Uint64(data)
		case typ == unix.NFTA_RULE_EXPRESSIONS:
			for _, expression := range attributes(data) {
				ok = r.setExpression(expression) || ok
			}
		}
	}
	chain = fmt.Sprintf("%s %s %s", families[family], table, chain)
	place := fmt.Sprintf("%s handle %d", chain, handle)
	r.Chain = "nftables " + chain
	r.Where = "nftables " + place
	r.Delete = "nft delete rule " + place
	return r, ok
}

// setExpression takes the queues from an expression, and reports whether it is one that queues.
func (r *Rule) setExpression(attrs []byte) bool {
	var name string
	var body []byte
	for typ, data := range attributes(attrs) {
		switch typ {
		case unix.NFTA_EXPR_NAME:
			name = unix.ByteSliceToString(data)
		case unix.NFTA_EXPR_DATA:
			body = data
		}
	}
	switch name {
	case "queue":
		r.setQueue(body)
		return true
	case "target":
		return r.setXTarget(body)
	}
	return false
}

// setQueue reads the expression of nf_tables, whose numbers are in network byte order.
func (r *Rule) setQueue(attrs []byte) {
	const bypass = 1 // NFT_QUEUE_FLAG_BYPASS
	total := uint16(1)
	for typ, data := range attributes(attrs) {
		switch {
		case typ == unix.NFTA_QUEUE_SREG_QNUM:
			r.Mapped = true
		case len(data) != 2:
		case typ == unix.NFTA_QUEUE_NUM:
			r.First = binary.BigEndian.Uint16(data)
		case typ == unix.NFTA_QUEUE_TOTAL:
			total = max(binary.BigEndian.Uint16(data), 1)
		case typ == unix.NFTA_QUEUE_FLAGS:
			r.Bypass = binary.BigEndian.Uint16(data)&bypass != 0
		}
	}
	r.Last = r.First + total - 1
}

func (r *Rule) setXTarget(attrs []byte) bool {
	var name string
	var revision uint32
	var info []byte
	for typ, data := range attributes(attrs) {
		switch {
		case typ == unix.NFTA_TARGET_NAME:
			name = string(bytes.TrimRight(data, "\x00"))
		case typ == unix.NFTA_TARGET_REV && len(data) == 4:
			revision = binary.BigEndian.Uint32(data)
		case typ == unix.NFTA_TARGET_INFO:
			info = data
		}
	}
	return name == targetName && r.setTarget(revision, info)
}

// attributes returns types and data of the attributes in b.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for {
			typ, data, rest, ok := nlwire.NextAttr(b)
			if !ok || !yield(typ, data) {
				return
			}
			b = rest
		}
	}
}
