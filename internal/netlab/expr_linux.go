// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Expr is a part of a rule: a match or an action. It returns the nf_tables expressions that do it
// on the host.
type Expr func(*Host) ([]expr.Any, error)

// register is used by all expressions. None leaves a value in it for another.
const register = unix.NFT_REG_1

func just(exprs ...expr.Any) Expr {
	return func(*Host) ([]expr.Any, error) { return exprs, nil }
}

func equal(value []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}
}

func meta(key expr.MetaKey, value []byte) Expr {
	return just(&expr.Meta{Key: key, Register: register}, equal(value))
}

func transport(offset uint32, value []byte) Expr {
	return just(&expr.Payload{
		DestRegister: register,
		Base:         expr.PayloadBaseTransportHeader,
		Offset:       offset,
		Len:          uint32(len(value)),
	}, equal(value))
}

// L4Proto matches the transport protocol (IPPROTO_*). It must precede a match on ports or ICMP
// types.
func L4Proto(proto uint8) Expr { return meta(expr.MetaKeyL4PROTO, []byte{proto}) }

// SrcPort matches the source port of TCP, UDP or SCTP.
func SrcPort(port uint16) Expr { return transport(0, binary.BigEndian.AppendUint16(nil, port)) }

// DstPort matches the destination port of TCP, UDP or SCTP.
func DstPort(port uint16) Expr { return transport(2, binary.BigEndian.AppendUint16(nil, port)) }

// ICMPType matches the type of an ICMP or ICMPv6 message.
func ICMPType(t uint8) Expr { return transport(0, []byte{t}) }

// Mark matches the packet's mark.
func Mark(mark uint32) Expr {
	return meta(expr.MetaKeyMARK, binary.NativeEndian.AppendUint32(nil, mark))
}

// InDevName matches the name of the input interface.
func InDevName(name string) Expr { return meta(expr.MetaKeyIIFNAME, ifname(name)) }

// OutDevName matches the name of the output interface.
func OutDevName(name string) Expr { return meta(expr.MetaKeyOIFNAME, ifname(name)) }

func ifname(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

// CTState is a set of connection tracking states (NF_CT_STATE_BIT).
type CTState uint32

// The states.
const (
	CTInvalid     = CTState(expr.CtStateBitINVALID)
	CTEstablished = CTState(expr.CtStateBitESTABLISHED)
	CTRelated     = CTState(expr.CtStateBitRELATED)
	CTNew         = CTState(expr.CtStateBitNEW)
	CTUntracked   = CTState(expr.CtStateBitUNTRACKED)
)

// InCTState matches a packet in one of the states. The kernel tracks the connections of the host
// while such a rule exists.
func InCTState(states CTState) Expr {
	none := make([]byte, 4)
	return just(
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{
			SourceRegister: register,
			DestRegister:   register,
			Len:            4,
			Mask:           binary.NativeEndian.AppendUint32(nil, uint32(states)),
			Xor:            none,
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: none},
	)
}

// Counter counts the packets that reach this expression, see Rule.Count.
func Counter() Expr { return just(&expr.Counter{}) }

// SetMark sets the packet's mark.
func SetMark(mark uint32) Expr {
	return just(&expr.Immediate{Register: register, Data: binary.NativeEndian.AppendUint32(nil, mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register})
}

// SaveMark copies the packet's mark to its connection.
func SaveMark() Expr {
	return just(&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
		&expr.Ct{Key: expr.CtKeyMARK, SourceRegister: true, Register: register})
}

// CTMark matches the mark of the packet's connection.
func CTMark(mark uint32) Expr {
	return just(&expr.Ct{Key: expr.CtKeyMARK, Register: register},
		equal(binary.NativeEndian.AppendUint32(nil, mark)))
}

// SetZone puts the packet's connection into a conntrack zone. The chain must come before connection
// tracking, with a priority of -300.
func SetZone(zone uint16) Expr {
	return just(&expr.Immediate{Register: register, Data: binary.NativeEndian.AppendUint16(nil, zone)},
		&expr.Ct{Key: expr.CtKeyZONE, SourceRegister: true, Register: register})
}

// NoTrack leaves the packet out of connection tracking. The chain must come before that, with a
// priority of -300.
func NoTrack() Expr { return just(&expr.Notrack{}) }

// Accept ends the chain and lets the packet go on.
func Accept() Expr { return just(&expr.Verdict{Kind: expr.VerdictAccept}) }

// Drop drops the packet.
func Drop() Expr { return just(&expr.Verdict{Kind: expr.VerdictDrop}) }
