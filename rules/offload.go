// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/bridge"
)

// Offload lets the kernel carry out a decision that a handler has made for a whole
// connection: later packets of the connection, in both directions, do not reach the
// queue any more. Give the same value to the Rule and to the handler:
//
//	offload := rules.DefaultOffload
//	set, err := rules.Install(rules.Config{}, rules.Rule{Offload: offload, ...})
//	...
//	func(p *nfqueue.Packet) nfqueue.Verdict {
//		switch look(p) {
//		case fine:
//			return offload.Accept(p)
//		case bad:
//			return offload.Reject(p)
//		}
//		return nfqueue.Accept // not decided yet; the next packet is queued too
//	}
//
// Accept, Drop and Reject mark the packet and repeat it. At the start of the chain, before
// any rule that queues, rules of the same Set save the mark in the connection, take it off
// the packet, and accept, drop or reject. They do the same to each later packet of a
// connection that is marked, so at most those packets reach the handler which were queued
// before it decided. A second chain, behind the first, drops or rejects these too if the
// handler accepts them one by one. The zero value offloads nothing.
//
// A SYN that opens a connection with the ports of a decided one makes it undecided, also where
// conntrack goes on with the same entry, which may have seen no answer. It does so before the queue
// and, in the second chain, behind it: packets of the decided connection may have been queued
// before it.
//
// This uses connection tracking (conntrack) and works on kernels with and without
// NETFILTER_NETLINK_GLUE_CT. Conntrack forgets a connection whose first packet does not
// leave or arrive. So if that one is dropped or rejected and sent again, it is queued again.
// A packet that conntrack does not track, or takes for invalid, is decided alone. A connection that
// conntrack expects, such as FTP data, inherits the mark of the one that announced it.
//
// Conntrack also begins in the middle of a connection, with a packet of either end. Where the first
// it has seen is of the server, it takes a SYN with the same ports for invalid until it forgets the
// connection, ten seconds after a reset. Rules of the Set drop such a SYN if the Rule matches
// it, because the decision would stay for the connection that it opens. There are none with
// net.netfilter.nf_conntrack_tcp_loose=0.
//
// The marks stay when the Set is closed or the process is killed. A later Set with the
// same Mask goes by them.
type Offload struct {
	// Mask has the two bits, of the packet mark and of the connection mark, that hold the
	// decision. All others stay as they are. No other program may use these two.
	Mask uint32
	// NoReject leaves out the rules that reject, for hooks at which the kernel cannot. Then
	// Reject drops. The kernel rejects at input, forward and output, and since Linux 5.9 at
	// prerouting. Before, an Install with Offload at prerouting fails without NoReject, and as an
	// exception costs other programs the packets that wait in their queues.
	NoReject bool
}

// DefaultOffload uses the bits 28 and 29. Calico and Cilium use these too, in their default
// configuration; choose others there. Kubernetes uses 14 and 15, Tailscale 16 to 23,
// wg-quick the lower 16.
var DefaultOffload = Offload{Mask: 0x30000000}

// decision is what a handler has decided for a connection, as a number of two bits.
type decision uint32

const (
	decidedAccept decision = 1 + iota
	decidedDrop
	decidedReject
)

// bits returns the mark that stands for a decision.
func (o Offload) bits(d decision) uint32 {
	low := o.Mask & -o.Mask
	high := o.Mask &^ low
	return low*uint32(d&1) | high*uint32(d>>1)
}

// Accept decides that the connection of p is accepted: p, with all edits made to it, and every
// later packet. The handler returns the verdict, or resolves a Held with it. Call it for
// a packet once, after SetMark if that is used.
//
// A packet that comes round again undecided has met no rule with this Offload. It is then
// accepted alone, so that a handler whose rules are missing does not run in circles, and the Logger
// of the queue gets a line.
func (o Offload) Accept(p *nfqueue.Packet) nfqueue.Verdict {
	return o.decide(p, decidedAccept, nfqueue.Accept)
}

// Drop decides that p and every later packet of its connection is dropped. See Accept.
func (o Offload) Drop(p *nfqueue.Packet) nfqueue.Verdict {
	return o.decide(p, decidedDrop, nfqueue.Drop)
}

// Reject decides that p and every later packet of its connection is rejected: TCP by a
// reset, everything else by the ICMP or ICMPv6 error "port unreachable". The sender of the packet
// gets these, and its connect or read fails at once with ECONNREFUSED or ECONNRESET. A UDP socket
// that is not connected gets no error unless it has asked for it (IP_RECVERR). See Accept.
func (o Offload) Reject(p *nfqueue.Packet) nfqueue.Verdict {
	if o.NoReject {
		return o.Drop(p)
	}
	return o.decide(p, decidedReject, nfqueue.Drop)
}

func (o Offload) decide(p *nfqueue.Packet, d decision, alone nfqueue.Verdict) nfqueue.Verdict {
	mark, value := p.Mark(), o.bits(d)
	if mark&o.Mask == value { // also if there are no bits
		if value != 0 {
			bridge.Warn(p, "rules: a packet came back with the decision about its connection; give "+
				"the rule that queues it this Offload", "mask", o.Mask)
		}
		return alone
	}
	p.SetMark(mark&^o.Mask | value)
	return nfqueue.Repeat
}

// checkMasks refuses rules that would read each other's decisions wrongly.
func checkMasks(rules []Rule) error {
	for i, a := range rules {
		for j, b := range rules[:i] {
			if a.Offload.Mask&b.Offload.Mask != 0 && a.Offload.Mask != b.Offload.Mask {
				return fmt.Errorf("rules %d and %d: the masks of offload, %#x and %#x, "+
					"overlap; give both the same, or different bits",
					j+1, i+1, b.Offload.Mask, a.Offload.Mask)
			}
		}
	}
	return nil
}

func (r Rule) checkOffload() error {
	switch o := r.Offload; {
	case o == (Offload{}):
		return nil
	case o.Mask == 0:
		return errors.New("without a mask there is nothing to offload; start from DefaultOffload")
	case bits.OnesCount32(o.Mask) != 2:
		return fmt.Errorf("the mask %#x must have two bits, for what accepts, drops and rejects",
			o.Mask)
	case r.Family == nfqueue.FamilyBridge:
		return errors.New("connections of bridged packets are not offloaded; " +
			"use a hook of IPv4 and IPv6")
	case r.Hook == nfqueue.HookPostrouting && !o.NoReject:
		return errors.New("the kernel rejects nothing at postrouting; " +
			"use output or forward, or set NoReject")
	case !r.not(MatchMark) && r.Mark&r.MarkMask&o.Mask != 0,
		!r.not(MatchCTMark) && r.CTMark&r.CTMarkMask&o.Mask != 0:
		return fmt.Errorf("no packet with bits of the mask %#x comes to the queue, and the rule wants "+
			"one; give the Offload other bits", o.Mask)
	case r.Priority == lastPriority:
		return fmt.Errorf("priority %d leaves no room for the chain behind; use a lower one",
			r.Priority)
	}
	return r.checkTracked("the connection is")
}

// invalidSYNs narrows r to SYN that conntrack takes for invalid, apart from the flag. It reports
// false if there are none to be dropped. Conntrack takes a SYN for invalid if it has begun with
// a packet of the server, and the connection of that may be decided. No rule can undecide it, for a
// packet without an entry, and the next packet of the client would pass.
func (r Rule) invalidSYNs() (Rule, bool) {
	tcp := r.Protocol == 0 || (r.Protocol == TCP) != r.not(MatchProtocol)
	invalid := r.CTState == 0 || (r.CTState&CTInvalid != 0) != r.not(MatchCTState)
	if r.Offload == (Offload{}) || !tcp || !invalid {
		return Rule{}, false
	}
	r.Protocol, r.CTState = TCP, CTInvalid
	r.Not &^= MatchProtocol | MatchCTState
	return r, true
}

// step is one of the rules that carry out the decisions of an Offload.
type step struct {
	on       decision // the mark that stands for this decision is looked for
	repeated bool     // on the packet, which its verdict has repeated, instead of the connection
	only     packets
	do       action
}

// packets are what a step is about, of those with the mark.
type packets int

const (
	allPackets   packets = iota
	unmarked             // nobody has just decided anew
	unblocked            // neither dropped nor rejected
	reopening            // a SYN with the ports of an earlier connection, undecided itself
	opening              // a SYN
	tcpSegments          //
	tcpResets            // the end of a connection, also what a reset has just made
	icmpErrors           // about a connection, also what unreachable has just made
	icmpv6Errors         //
)

// action is what becomes of a packet.
type action int

const (
	undecide action = iota // take the mark off the connection, and go on
	save                   // put the mark on the connection, and go on
	pass                   // accept, and leave the mark to the chain behind
	accept
	drop
	reset       // reject TCP
	unreachable // reject everything else
)

// steps are the rules at the start of a chain with rules that queue. First, a connection
// for which conntrack uses the entry of an earlier one with the same ports is another one.
// Next is the rule for most packets. A rejection must not reject what it sends itself,
// which passes the hook output too. A mark is saved by rules of its own: the kernel ends a rule
// that asks for a connection where the packet has none.
func (o Offload) steps() []step {
	return o.possible(
		step{only: reopening, do: undecide},
		step{on: decidedAccept, only: unmarked, do: accept},

		step{on: decidedReject, only: tcpResets, do: accept},
		step{on: decidedReject, only: icmpErrors, do: accept},
		step{on: decidedReject, only: icmpv6Errors, do: accept},

		step{on: decidedAccept, repeated: true, do: save},
		step{on: decidedDrop, repeated: true, do: save},
		step{on: decidedReject, repeated: true, do: save},
		step{on: decidedAccept, repeated: true, only: opening, do: pass},
		step{on: decidedAccept, repeated: true, do: accept},
		step{on: decidedDrop, repeated: true, do: drop},
		step{on: decidedReject, repeated: true, only: tcpSegments, do: reset},
		step{on: decidedReject, repeated: true, do: unreachable},

		step{on: decidedDrop, do: drop},
		step{on: decidedReject, only: tcpSegments, do: reset},
		step{on: decidedReject, do: unreachable},
	)
}

// stepsBehind are the rules of the chain behind, for packets that were queued before
// their connection was decided, and for a SYN behind such. Its own mark tells whether it is what
// decides anew. All other packets come by too.
func (o Offload) stepsBehind() []step {
	return o.possible(
		step{only: reopening, do: undecide},
		step{on: decidedAccept, repeated: true, do: accept},
		step{only: unblocked, do: accept},

		step{on: decidedReject, only: tcpResets, do: accept},
		step{on: decidedReject, only: icmpErrors, do: accept},
		step{on: decidedReject, only: icmpv6Errors, do: accept},

		step{on: decidedDrop, do: drop},
		step{on: decidedReject, only: tcpSegments, do: reset},
		step{on: decidedReject, do: unreachable},
	)
}

// possible leaves out the steps that reject, with NoReject.
func (o Offload) possible(steps ...step) []step {
	return slices.DeleteFunc(steps, func(s step) bool { return o.NoReject && s.on == decidedReject })
}
