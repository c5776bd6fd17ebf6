// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rejectPart is what the expression is for.
const rejectPart = "rejection"

// Flags of TCP.
const (
	tcpSYN   = 0x02 // TH_SYN
	tcpReset = 0x04 // TH_RST
	tcpOpens = 0x17 // FIN, SYN, RST and ACK, of which only SYN is set to open a connection
)

// parts returns the expressions of a step.
func (o Offload) parts(s step) []part {
	var m matcher
	switch {
	case s.only == reopening: // few packets are SYN, so that comes first
		m.opens()
		m.mark(0, o.Mask, expr.CmpOpEq)
		m.ctState(CTNew|CTEstablished, expr.CmpOpEq)
		m.confirmed()
	case s.only == unblocked:
		m.ctMark(0, o.bits(decidedDrop), expr.CmpOpEq)
	case s.repeated:
		m.mark(o.bits(s.on), o.Mask, expr.CmpOpEq)
	default:
		m.ctMark(o.bits(s.on), o.Mask, expr.CmpOpEq)
	}
	switch s.only {
	case unmarked:
		m.mark(0, o.Mask, expr.CmpOpEq)
	case opening:
		m.opens()
	case tcpSegments:
		m.protocol(TCP, expr.CmpOpEq)
	case tcpResets:
		m.protocol(TCP, expr.CmpOpEq)
		m.transport("TCP flags", 13, 1)
		m.mask("TCP flags", []byte{tcpReset})
		m.compare("TCP flags", expr.CmpOpNeq, []byte{0})
	case icmpErrors:
		m.protocol(ICMP, expr.CmpOpEq)
		m.ctState(CTRelated, expr.CmpOpEq)
	case icmpv6Errors:
		m.protocol(ICMPv6, expr.CmpOpEq)
		m.ctState(CTRelated, expr.CmpOpEq)
	}
	if s.repeated && s.do != save && s.do != pass {
		m.clearMark(o.Mask)
	}
	switch s.do {
	case undecide:
		m.setCTMark(0, o.Mask)
	case save:
		m.setCTMark(o.bits(s.on), o.Mask)
	case pass, accept:
		m.add("verdict", &expr.Verdict{Kind: expr.VerdictAccept})
	case drop:
		m.add("verdict", &expr.Verdict{Kind: expr.VerdictDrop})
	case reset:
		m.add(rejectPart, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	case unreachable:
		m.add(rejectPart, &expr.Reject{
			Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH,
		})
	}
	return m.parts
}

// confirmed matches if conntrack knew the connection before the packet, or has let the packet go on
// to its end.
func (m *matcher) confirmed() {
	const what = "connection tracking status"
	confirmed := binary.NativeEndian.AppendUint32(nil, 1<<3) // IPS_CONFIRMED
	m.add(what, &expr.Ct{Key: expr.CtKeySTATUS, Register: register})
	m.mask(what, confirmed)
	m.compare(what, expr.CmpOpEq, confirmed)
}

// opens matches a SYN.
func (m *matcher) opens() {
	m.protocol(TCP, expr.CmpOpEq)
	m.transport("TCP flags", 13, 1)
	m.mask("TCP flags", []byte{tcpOpens})
	m.compare("TCP flags", expr.CmpOpEq, []byte{tcpSYN})
}

// setCTMark sets bits in the mark of the connection.
func (m *matcher) setCTMark(value, mask uint32) {
	m.add(ctMarkPart, &expr.Ct{Key: expr.CtKeyMARK, Register: register})
	m.add(ctMarkPart, replaceBits(value, mask))
	m.add(ctMarkPart, &expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true})
}

// clearMark takes bits off the mark of the packet.
func (m *matcher) clearMark(mask uint32) {
	m.add("mark", &expr.Meta{Key: expr.MetaKeyMARK, Register: register})
	m.add("mark", replaceBits(0, mask))
	m.add("mark", &expr.Meta{Key: expr.MetaKeyMARK, Register: register, SourceRegister: true})
}

// replaceBits sets the bits of a mask to those of a value.
func replaceBits(value, mask uint32) *expr.Bitwise {
	host := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	return &expr.Bitwise{
		SourceRegister: register, DestRegister: register, Len: 4,
		Mask: host(^mask), Xor: host(value),
	}
}
