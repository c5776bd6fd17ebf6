// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package conntrack_test

import (
	"encoding/binary"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// setCT sets something of the packet's conntrack entry, or for the entry that it
// will have. With labels it also makes room for them in new entries.
func setCT(key expr.CtKey, value []byte) netlab.Expr {
	return func(*netlab.Host) ([]expr.Any, error) {
		return []expr.Any{
			&expr.Immediate{Register: unix.NFT_REG_1, Data: value},
			&expr.Ct{Key: key, SourceRegister: true, Register: unix.NFT_REG_1},
		}, nil
	}
}

// notrack keeps a packet from being tracked.
func notrack(*netlab.Host) ([]expr.Any, error) { return []expr.Any{&expr.Notrack{}}, nil }

// attachHelper attaches a helper to connections over IPv4 that come in for a port of
// TCP or UDP. If redirect is not 0 they are then redirected to that port.
func attachHelper(t *testing.T, h *netlab.Host, name string, proto uint8, port, redirect uint16) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "helper"})
	helper := &nftables.NamedObj{
		Table: table, Name: "helper", Type: nftables.ObjTypeCtHelper,
		Obj: &expr.CtHelper{Name: name, L3Proto: unix.NFPROTO_IPV4, L4Proto: proto},
	}
	conn.AddObj(helper)
	match := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{proto}},
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseTransportHeader, Offset: 2,
			Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1,
			Data: binary.BigEndian.AppendUint16(nil, port)},
	}
	rule := func(typ nftables.ChainType, priority nftables.ChainPriority, then ...expr.Any) {
		chain := conn.AddChain(&nftables.Chain{
			Table: table, Name: string(typ), Type: typ, Hooknum: nftables.ChainHookPrerouting,
			Priority: nftables.ChainPriorityRef(priority),
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain,
			Exprs: append(match[:len(match):len(match)], then...)})
	}
	rule(nftables.ChainTypeFilter, -150, &expr.Objref{Type: int(helper.Type), Name: helper.Name})
	if redirect != 0 {
		rule(nftables.ChainTypeNAT, -100,
			&expr.Immediate{Register: unix.NFT_REG_1, Data: binary.BigEndian.AppendUint16(nil, redirect)},
			&expr.Redir{RegisterProtoMin: unix.NFT_REG_1})
	}
	labtest.Must(t, conn.Flush())
}

// addUserspaceHelper registers a helper in userspace, with some bytes of data for each connection.
// Nobody binds its queue, so packets bypass it. Helpers belong to no network namespace, and this
// one stays: the kernels on which these tests run end with them.
func addUserspaceHelper(t *testing.T, name string, proto uint8, dataLen uint32) {
	t.Helper()
	const ( // linux/netfilter/nfnetlink_cthelper.h
		msgNew                               = unix.NFNL_SUBSYS_CTHELPER << 8 // NFNL_MSG_CTHELPER_NEW
		helperName, helperTuple, helperQueue = 1, 2, 3
		helperPolicy, helperDataLen          = 4, 5
		tupleL3, tupleL4                     = 1, 2
		policyNum, policySet                 = 1, 2
		policyName, policyMax, policyTimeout = 1, 2, 3
	)
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	labtest.Must(t, err)
	defer conn.Close()
	attrs := netlink.NewAttributeEncoder()
	nested := func(in *netlink.AttributeEncoder, typ uint16, encode func(*netlink.AttributeEncoder)) {
		in.ByteOrder = binary.BigEndian
		in.Nested(typ, func(nest *netlink.AttributeEncoder) error {
			nest.ByteOrder = binary.BigEndian
			encode(nest)
			return nil
		})
	}
	attrs.String(helperName, name)
	nested(attrs, helperTuple, func(tuple *netlink.AttributeEncoder) {
		tuple.Uint16(tupleL3, unix.NFPROTO_IPV4)
		tuple.Uint8(tupleL4, proto)
	})
	attrs.Uint32(helperQueue, 65535)
	nested(attrs, helperPolicy, func(policies *netlink.AttributeEncoder) {
		policies.Uint32(policyNum, 1)
		nested(policies, policySet, func(policy *netlink.AttributeEncoder) {
			policy.String(policyName, name)
			policy.Uint32(policyMax, 1)
			policy.Uint32(policyTimeout, 300)
		})
	})
	attrs.Uint32(helperDataLen, dataLen)
	data, err := attrs.Encode()
	labtest.Must(t, err)
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: msgNew, Flags: netlink.Request | netlink.Acknowledge | netlink.Create},
		Data:   append([]byte{0, 0, 0, 0}, data...), // struct nfgenmsg
	})
	labtest.Must(t, err)
}
