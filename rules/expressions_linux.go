// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/chifflier/nfqueue-go"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// part is an expression of a rule and what it is for.
type part struct {
	what string
	expr expr.Any
	set  []interval // in which an expr.Lookup looks
}

// interval is numbers of the same size in network byte order, from first to last.
type interval struct{ first, last []byte }

// register is the one that all expressions use; none leaves a value for another rule
// of the list.
const register = unix.NFT_REG_1

// matches returns the expressions for all that must match.
func (r numbered) matches() []part {
	var m matcher
	m.iface("incoming interface", expr.MetaKeyIIFNAME, r.InDevName, r.equal(MatchInDevName))
	m.iface("outgoing interface", expr.MetaKeyOIFNAME, r.OutDevName, r.equal(MatchOutDevName))
	m.network(r.Rule, r.Rule.network())
	m.addresses("source address", r.Src, networkOffset{v4: 12, v6: 8}, r.equal(MatchSrc))
	m.addresses("destination address", r.Dst, networkOffset{v4: 16, v6: 24}, r.equal(MatchDst))
	if r.Protocol != 0 {
		m.protocol(r.Protocol, r.equal(MatchProtocol))
	}
	m.ports("source port", 0, r.SrcPort, r.equal(MatchSrcPort))
	m.ports("destination port", 2, r.DstPort, r.equal(MatchDstPort))
	if r.ICMPType.set {
		m.transport("ICMP type", 0, 1)
		m.compare("ICMP type", r.equal(MatchICMPType), []byte{r.ICMPType.number})
	}
	m.transportHeader(r.single)
	m.owner("user", expr.MetaKeySKUID, r.UID, r.equal(MatchUID))
	m.owner("group", expr.MetaKeySKGID, r.GID, r.equal(MatchGID))
	m.mark(r.Mark, r.MarkMask, r.equal(MatchMark))
	m.ctState(r.CTState, r.equal(MatchCTState))
	m.ctMark(r.CTMark, r.CTMarkMask, r.equal(MatchCTMark))
	m.counted("packets of the connection", expr.CtKeyPKTS, r.FirstPackets)
	m.counted("bytes of the connection", expr.CtKeyBYTES, r.FirstBytes)
	switch {
	case r.not(MatchCgroup):
		m.socket(0) // has one
	case r.Cgroup != "":
		m.cgroup(r.group)
	}
	return m.parts
}

// equal is how the value of a field is compared.
func (r Rule) equal(m Match) expr.CmpOp {
	if r.not(m) {
		return expr.CmpOpNeq
	}
	return expr.CmpOpEq
}

// matcher collects expressions.
type matcher struct{ parts []part }

func (m *matcher) add(what string, e expr.Any) {
	m.parts = append(m.parts, part{what: what, expr: e})
}

func (m *matcher) compare(what string, op expr.CmpOp, value []byte) {
	m.add(what, &expr.Cmp{Op: op, Register: register, Data: value})
}

// within matches what is in one of several intervals, or with CmpOpNeq in none.
func (m *matcher) within(what string, op expr.CmpOp, set []interval) {
	lookup := &expr.Lookup{SourceRegister: register, Invert: op == expr.CmpOpNeq}
	m.parts = append(m.parts, part{what, lookup, set})
}

func (m *matcher) meta(what string, key expr.MetaKey, op expr.CmpOp, value []byte) {
	m.add(what, &expr.Meta{Key: key, Register: register})
	m.compare(what, op, value)
}

func (m *matcher) protocol(p Protocol, op expr.CmpOp) {
	m.meta("protocol", expr.MetaKeyL4PROTO, op, []byte{byte(p)})
}

func (m *matcher) iface(what string, key expr.MetaKey, name string, op expr.CmpOp) {
	if name == "" {
		return
	}
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	m.meta(what, key, op, padded)
}

// network matches IPv4 or IPv6, if n is one of them, which makes sure of the header that addresses
// are in.
func (m *matcher) network(r Rule, n nfqueue.Family) {
	if n == 0 {
		return
	}
	const what = "network protocol"
	if r.Family != nfqueue.FamilyBridge {
		m.meta(what, expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{byte(n)})
		return
	}
	etherType := uint16(unix.ETH_P_IP)
	if n == nfqueue.FamilyIPv6 {
		etherType = unix.ETH_P_IPV6
	}
	m.meta(what, expr.MetaKeyPROTOCOL, expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, etherType))
}

// networkOffset is where an address is in the IPv4 and the IPv6 header.
type networkOffset struct{ v4, v6 uint32 }

func (m *matcher) addresses(what string, all []netip.Prefix, at networkOffset, op expr.CmpOp) {
	if !restricts(all) {
		return // any address of the family, which network matches
	}
	p := all[0]
	offset, size := at.v4, p.Addr().BitLen()/8
	if p.Addr().Is6() {
		offset = at.v6
	}
	m.add(what, &expr.Payload{
		DestRegister: register, Base: expr.PayloadBaseNetworkHeader,
		Offset: offset, Len: uint32(size),
	})
	if len(all) > 1 {
		var set []interval
		for _, p := range all {
			set = append(set, interval{p.Addr().AsSlice(), lastAddress(p).AsSlice()})
		}
		m.within(what, op, set)
		return
	}
	if !p.IsSingleIP() {
		m.mask(what, net.CIDRMask(p.Bits(), size*8))
	}
	m.compare(what, op, p.Addr().AsSlice())
}

func (m *matcher) mask(what string, mask []byte) {
	m.add(what, &expr.Bitwise{
		SourceRegister: register, DestRegister: register,
		Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask)),
	})
}

func (m *matcher) transport(what string, offset, size uint32) {
	m.add(what, &expr.Payload{
		DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: size,
	})
}

// transportHeader matches packets that are not later fragments. The fragment header of IPv6 has the
// offset in the upper 13 bits of its third and fourth byte.
func (m *matcher) transportHeader(r single) {
	if r.has == anyPacket {
		return
	}
	if r.Rule.network() == 0 {
		m.network(r.Rule, r.network())
	}
	const what = "fragment"
	switch r.has {
	case firstIPv4:
		m.add(what, &expr.Payload{
			DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2,
		})
		m.mask(what, []byte{0x1f, 0xff})
		m.compare(what, expr.CmpOpEq, []byte{0, 0})
	case unfragmented:
		m.add(what, &expr.Exthdr{
			DestRegister: register, Op: expr.ExthdrOpIpv6, Type: unix.IPPROTO_FRAGMENT,
			Len: 1, Flags: unix.NFT_EXTHDR_F_PRESENT,
		})
		m.compare(what, expr.CmpOpEq, []byte{0})
	case firstIPv6:
		m.add(what, &expr.Exthdr{
			DestRegister: register, Op: expr.ExthdrOpIpv6, Type: unix.IPPROTO_FRAGMENT,
			Offset: 2, Len: 2,
		})
		m.mask(what, []byte{0xff, 0xf8})
		m.compare(what, expr.CmpOpEq, []byte{0, 0})
	}
}

func (m *matcher) ports(what string, offset uint32, all Ports, op expr.CmpOp) {
	if len(all) == 0 {
		return
	}
	m.transport(what, offset, 2)
	var set []interval
	for _, p := range all {
		set = append(set, interval{
			binary.BigEndian.AppendUint16(nil, p.First),
			binary.BigEndian.AppendUint16(nil, p.last()),
		})
	}
	one := set[0]
	switch {
	case len(set) > 1:
		m.within(what, op, set)
	case all[0].single():
		m.compare(what, op, one.first)
	default:
		m.add(what, &expr.Range{
			Op: op, Register: register, FromData: one.first, ToData: one.last,
		})
	}
}

const cgroupPart = "control group"

// cgroup matches a socket in a control group.
func (m *matcher) cgroup(g group) {
	m.socket(g.level)
	m.compare(cgroupPart, expr.CmpOpEq, binary.NativeEndian.AppendUint64(nil, g.id))
}

// socket loads the id of the control group that a socket is in, at a level from the root. It
// matches nothing without a socket, or if the group of the socket is above the level.
func (m *matcher) socket(level uint32) {
	m.add(cgroupPart, &expr.Socket{
		Key: expr.SocketKeyCgroupv2, Level: level, Register: register,
	})
}

func (m *matcher) owner(what string, key expr.MetaKey, o OwnerID, op expr.CmpOp) {
	if o.set {
		m.meta(what, key, op, binary.NativeEndian.AppendUint32(nil, o.number))
	}
}

// Marks and states are numbers of 32 bits in host byte order.

func (m *matcher) mark(value, mask uint32, op expr.CmpOp) {
	m.bits("mark", &expr.Meta{Key: expr.MetaKeyMARK, Register: register}, value, mask, op)
}

const ctMarkPart = "connection mark"

func (m *matcher) ctMark(value, mask uint32, op expr.CmpOp) {
	m.bits(ctMarkPart, &expr.Ct{Key: expr.CtKeyMARK, Register: register}, value, mask, op)
}

// bits compares the masked bits of what an expression loads.
func (m *matcher) bits(what string, load expr.Any, value, mask uint32, op expr.CmpOp) {
	if mask == 0 {
		return
	}
	m.add(what, load)
	if mask != ^uint32(0) {
		m.mask(what, binary.NativeEndian.AppendUint32(nil, mask))
	}
	m.compare(what, op, binary.NativeEndian.AppendUint32(nil, value))
}

// ctState matches a packet with one of the bits, or with CmpOpNeq one without them.
func (m *matcher) ctState(s CTState, op expr.CmpOp) {
	if s == 0 {
		return
	}
	none := expr.CmpOpNeq
	if op == expr.CmpOpNeq {
		none = expr.CmpOpEq
	}
	const what = "connection tracking state"
	m.add(what, &expr.Ct{Key: expr.CtKeySTATE, Register: register})
	m.mask(what, binary.NativeEndian.AppendUint32(nil, uint32(s)))
	m.compare(what, none, make([]byte, 4))
}

// counted matches while a counter of a connection is at most limit, 0 being none. The counter
// has 64 bits in host byte order, and only big endian numbers can be told to be smaller.
func (m *matcher) counted(what string, key expr.CtKey, limit uint64) {
	if limit == 0 {
		return
	}
	m.add(what, &expr.Ct{Key: key, Register: register})
	m.add(what, &expr.Byteorder{
		SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 8, Size: 8,
	})
	m.compare(what, expr.CmpOpLte, binary.BigEndian.AppendUint64(nil, limit))
}

// queueExpr makes the expression that queues, in one of the ways that kernels have.
type queueExpr func(Rule) expr.Any

// queuePart is what the expression is for.
const queuePart = "queue"

// nativeQueue needs CONFIG_NFT_QUEUE.
func nativeQueue(r Rule) expr.Any {
	var flags expr.QueueFlag
	if !r.NoBypass {
		flags |= expr.QueueFlagBypass
	}
	if r.Fanout {
		flags |= expr.QueueFlagFanout
	}
	return &expr.Queue{Num: r.Queue, Total: r.Queues, Flag: flags}
}

// xtQueue needs CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_TARGET_NFQUEUE, and works in
// all families but bridge. Its data are struct xt_NFQ_info_v3 in host byte order, padded
// as the kernel aligns it.
func xtQueue(r Rule) expr.Any {
	const bypass, fanout = 1, 2 // NFQ_FLAG_*
	var flags uint16
	if !r.NoBypass {
		flags |= bypass
	}
	if r.Fanout {
		flags |= fanout
	}
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], r.Queue)
	binary.NativeEndian.PutUint16(info[2:], r.Queues)
	binary.NativeEndian.PutUint16(info[4:], flags)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}
