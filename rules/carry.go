// SPDX-License-Identifier: GPL-2.0-or-later

package rules

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
	reopening            // a SYN with the ports of an earlier connection, undecided itself
	tcpSegments          //
	tcpResets            // the end of a connection, also what a reset has just made
	icmpErrors           // about a connection, also what unreachable has just made
	icmpv6Errors         //
)

// action is what becomes of a packet.
type action int

const (
	undecide action = iota // take the mark off the connection, and go on
	accept
	drop
	reset       // reject TCP
	unreachable // reject everything else
)

// steps are the rules at the start of a chain with rules that queue. First, a connection
// for which conntrack uses the entry of an earlier one with the same ports is another one.
// Next is the rule for most packets. A rejection must not reject what it sends itself,
// which passes the hook output too.
func (o Offload) steps() []step {
	steps := []step{
		{only: reopening, do: undecide},
		{on: decidedAccept, only: unmarked, do: accept},
	}
	if !o.NoReject {
		steps = append(steps, passEnds...)
	}
	steps = append(steps,
		step{on: decidedAccept, repeated: true, do: accept},
		step{on: decidedDrop, repeated: true, do: drop},
	)
	if !o.NoReject {
		steps = append(steps,
			step{on: decidedReject, repeated: true, only: tcpSegments, do: reset},
			step{on: decidedReject, repeated: true, do: unreachable},
		)
	}
	return append(steps, o.block()...)
}

// stepsBehind are the rules of the chain behind, for packets that were queued before
// their connection was decided.
func (o Offload) stepsBehind() []step {
	if o.NoReject {
		return o.block()
	}
	return append(append([]step(nil), passEnds...), o.block()...)
}

var passEnds = []step{
	{on: decidedReject, only: tcpResets, do: accept},
	{on: decidedReject, only: icmpErrors, do: accept},
	{on: decidedReject, only: icmpv6Errors, do: accept},
}

// block are the steps that end connections.
func (o Offload) block() []step {
	steps := []step{{on: decidedDrop, do: drop}}
	if o.NoReject {
		return steps
	}
	return append(steps,
		step{on: decidedReject, only: tcpSegments, do: reset},
		step{on: decidedReject, do: unreachable},
	)
}
