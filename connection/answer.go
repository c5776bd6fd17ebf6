// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// Answer is what a Handler says of a connection.
type Answer uint8

const (
	// More leaves the connection undecided: the handler is called again when there is
	// news. Meanwhile packets pass, or are held with Config.Hold.
	More Answer = iota
	// Accept lets the connection go on.
	Accept
	// Drop discards every packet of the connection from now on, and those that are held.
	Drop
	// Reject is Drop that also tells the sender of the packet: by a TCP reset, or by an
	// ICMP error. The kernel does that, through Config.Offload; without it Reject is Drop. The
	// other end is told when it sends a packet.
	Reject
)

var answerNames = [...]string{"more", "accept", "drop", "reject"}

// String returns "more", "accept", "drop" or "reject".
func (a Answer) String() string { return word.Name(uint8(a), answerNames[:], "answer") }

// Offload turns the decision about a connection into the verdict for one of its packets.
// An implementation sets what makes the kernel decide the rest of the connection itself,
// a mark for example, so that later packets do not reach the queue. Every packet of a decided
// connection that was queued all the same is shown to it. The methods are called from several
// goroutines at a time, each with a packet of its own.
//
// A SYN that opens another connection with the same addresses and ports is accepted without it:
// what carries out decisions must undecide the connection when that leaves the queue, because
// verdicts for packets that were queued before it may have decided it meanwhile. The rules of
// rules.Offload do that.
type Offload interface {
	// Accept returns the verdict for a packet of a connection that is accepted.
	Accept(p *nfqueue.Packet) nfqueue.Verdict
	// Drop returns the verdict for a packet of a connection that is dropped.
	Drop(p *nfqueue.Packet) nfqueue.Verdict
	// Reject returns the verdict for a packet of a connection that is rejected.
	Reject(p *nfqueue.Packet) nfqueue.Verdict
}

// plain is the Offload of a queue that sees all packets of all connections.
type plain struct{}

func (plain) Accept(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }
func (plain) Drop(*nfqueue.Packet) nfqueue.Verdict   { return nfqueue.Drop }
func (plain) Reject(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop }
