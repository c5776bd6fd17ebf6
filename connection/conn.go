// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"iter"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/word"
)

// Handler decides connections.
type Handler interface {
	// ServeConn answers for c when there is news of it: see Conn.News. It is called until
	// the answer is not More. The Conn, and all that its methods return, is only valid
	// until ServeConn returns. The packet in c.Packet may be edited as in an nfqueue.Handler;
	// the edits are sent with its verdict, also if it is held.
	ServeConn(c *Conn) Answer
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(*Conn) Answer

// ServeConn calls f.
func (f HandlerFunc) ServeConn(c *Conn) Answer { return f(c) }

// Direction tells the two directions of a connection apart.
type Direction uint8

const (
	// Original is the direction of the packet that opened the connection. Of a TCP
	// connection whose SYN was not seen it is that of the first packet, unless that is a
	// SYN-ACK, or the kernel says that it is a reply (nfqueue.Conntrack).
	Original Direction = iota
	// Reply is the other direction.
	Reply
)

// String returns "original" or "reply".
func (d Direction) String() string {
	if d == Original {
		return "original"
	}
	return "reply"
}

// News is why a Handler is called: one or more of these.
type News uint8

const (
	// Opened is in the first call for a connection.
	Opened News = 1 << iota
	// Data means that Bytes of the packet's direction has grown.
	Data
	// Finished means that a direction has ended: a FIN came, and everything before it.
	Finished
	// Reset means that a TCP reset ends the connection. If it remains undecided now it gets
	// the Fallback.
	Reset
	// Unreachable means that the packet is an ICMP error about the connection, of any type.
	// Its direction is that in which the error travels.
	Unreachable
	// Conflict means that a TCP segment has other bytes than an earlier one where they
	// overlap. The packet is dropped, and its bytes are not in Bytes.
	Conflict
)

var newsNames = []string{"opened", "data", "finished", "reset", "unreachable", "conflict"}

// String returns the names of the bits, "opened|data" for example.
func (n News) String() string { return word.Bits(uint32(n), newsNames) }

// Conn is a connection: a TCP connection, or the packets of another protocol between two
// ends.
type Conn struct {
	// Value is the handler's own. It is nil in the first call, and let go of when the
	// connection is decided.
	Value any

	t     *Tracker
	key   key
	flow  nfqueue.Flow
	hold  *hold // nil if nothing is held
	sides [2]side
	last  time.Duration // when its last packet came

	list       *list
	since      time.Duration // when it came to its place there
	prev, next *Conn

	memory        int
	packets       uint32
	uid, gid      uint32
	inDev, outDev uint32
	earlier       uint32 // what acknowledges the earlier SYN
	hook          nfqueue.Hook
	answer        Answer
	state         state
}

// state is what is known of a connection.
type state uint16

const (
	stateDown      state = 1 << iota // the original direction goes from key.high to key.low
	stateTCP                         // it is a stream
	stateSYN                         // the first packet that was seen has a SYN
	stateAnswered                    // a packet of the reply direction was seen
	stateUser                        // uid and gid are known
	stateOver                        // it has ended
	stateEmptyPass                   // it ended undecided: what has no data passes
	stateCut                         // there is data that was not copied
	stateUnsure                      // the server has yet to acknowledge the SYN: it may know another
	stateAgreed                      // the server has acknowledged the SYN
	stateFormer                      // until then the server may still have an accepted connection
	stateBoth                        // both ends have sent a SYN: either may be the client
	stateUnproven                    // accepted on bytes that were not acknowledged yet
	stateEarlier                     // the server may acknowledge an earlier SYN too, see earlier
	stateGuess                       // the client is guessed: no SYN tells
)

// side is one direction.
type side struct {
	stream
	ends     []int  // of datagrams, in data
	base     uint32 // sequence number of the first byte
	top      uint32 // that behind the last byte seen, for what the peer may acknowledge
	fin      int32  // offset of the FIN
	known    bool   // base is known
	ended    bool   // fin is known
	done     bool   // everything up to fin was seen
	unproven bool   // the peer has not acknowledged data, on which the connection is accepted
}

// Flow returns the flow of the original direction.
func (c *Conn) Flow() nfqueue.Flow { return c.flow }

// Packet returns the packet that brought the news.
func (c *Conn) Packet() *nfqueue.Packet { return c.t.packet }

// Direction returns the direction of the packet.
func (c *Conn) Direction() Direction { return c.t.dir }

// News says why the handler is called.
func (c *Conn) News() News { return c.t.news }

// Bytes returns what was seen of a direction so far, from its first byte on: of TCP what
// is there without a gap, of other protocols the bodies of all packets, one behind the
// other. It must not be changed.
func (c *Conn) Bytes(d Direction) []byte { return c.sides[d].data }

// Datagrams returns the bodies of all packets of a direction so far, of a protocol other
// than TCP. The bodies must not be changed. A super-packet (Packet.SegmentationPending) is one
// body, though its receiver gets several datagrams; nfqueue.NoGSO has the kernel cut it before.
func (c *Conn) Datagrams(d Direction) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := 0
		for _, end := range c.sides[d].ends {
			if !yield(c.sides[d].data[start:end:end]) {
				return
			}
			start = end
		}
	}
}

// Finished reports whether a direction of a TCP connection has ended, and Bytes has all
// of it.
func (c *Conn) Finished(d Direction) bool { return c.sides[d].done }

// Middle reports whether the SYN of a TCP connection was not seen. Bytes then starts somewhere in
// it. The Tracker guesses who the client is: the end that conntrack names (nfqueue.Conntrack), or
// else the one that sends the first packet, unless that answers a SYN. So with Config.Hold it holds
// data of both directions.
func (c *Conn) Middle() bool {
	return c.state&stateTCP != 0 && (c.state&stateSYN == 0 || c.state&stateGuess != 0)
}

// Packets returns how many packets of the connection were seen so far, of both
// directions.
func (c *Conn) Packets() int { return int(c.packets) }

// Hook returns the hook at which the first packet was queued.
func (c *Conn) Hook() nfqueue.Hook { return c.hook }

// InDev returns the index of the interface on which the first packet came in, 0 for none.
func (c *Conn) InDev() int { return int(c.inDev) }

// OutDev returns the index of the interface by which the first packet left, 0 for none.
func (c *Conn) OutDev() int { return int(c.outDev) }

// User returns the user and the group of the socket that sent the first packet, as
// nfqueue.Packet.UID and GID do. Needs nfqueue.UIDGID.
func (c *Conn) User() (uid, gid uint32, ok bool) { return c.uid, c.gid, c.state&stateUser != 0 }
