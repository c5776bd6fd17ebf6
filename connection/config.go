// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Config says how connections are followed. The zero value lets packets of undecided
// connections pass, and drops connections for which a limit ends the wait for an answer.
type Config struct {
	// Hold holds the packets with data of the original direction until the handler has
	// answered, so that the other end sees no byte of a connection that is dropped. Packets
	// without data, and all of the reply direction, pass; data of both is held where no SYN tells
	// which that is: in protocols other than TCP, where both ends have sent a SYN, and where none
	// was seen (Conn.Middle). Held packets wait in the kernel and count against
	// nfqueue.Config.MaxLen. Their sender gets no acknowledgement, and so does not repeat a
	// segment between the first and the last one: a connection that needs one which was lost gets
	// the Fallback.
	Hold bool

	// OneWay says that the queue sees one direction of TCP connections only. An Accept is
	// then carried out at once, and a client that makes its packets itself can have the server
	// see other bytes than the handler: it sends some that the server ignores, with a wrong
	// checksum for example. Otherwise no data of the client passes before the server is seen to
	// acknowledge its SYN (Stats.Unanswered), and packets of an accepted connection are looked at,
	// and its Offload waits, until all bytes that the handler has seen are acknowledged. Set it also
	// with nfqueue.FailOpen, which lets answers pass unseen.
	OneWay bool

	// Fallback is the answer for a connection that the handler has not decided when one of
	// the limits below is reached, when the connection ends, when its handler panics, or
	// when another with the same addresses and ports takes its place. With Hold, a TCP connection
	// with held data also gets it when its original direction ends. The zero value is Drop.
	Fallback Answer

	// MaxBytes is how many bytes of each direction an undecided connection may have. The
	// handler sees that many at most. Zero is DefaultMaxBytes.
	MaxBytes int
	// MaxPackets is how many packets an undecided connection may have, of both directions.
	// Zero is DefaultMaxPackets.
	MaxPackets int
	// Timeout is how long a connection may be undecided, from its first packet with data
	// on, or from the first one that is held. Zero is DefaultTimeout.
	Timeout time.Duration

	// MaxConns is how many connections are followed, decided ones included. When there are
	// more, the oldest of the most numerous kind (opening, undecided, decided) is
	// forgotten; if undecided it gets the Fallback. Zero is DefaultMaxConns.
	MaxConns int
	// MaxMemory is how many bytes of connections are kept in all: of undecided ones, and of
	// accepted ones until they are acknowledged. The memory for pieces behind gaps
	// counts, held packets do not (MaxHeld). Above the limit, the bytes of accepted connections
	// are discarded first, the oldest before others, and segments with those bytes are dropped.
	// Then the connections that are undecided longest get the Fallback. Zero is DefaultMaxMemory.
	MaxMemory int
	// MaxHeld is how many packets are held in all. When there are more, the connections
	// that are undecided longest get the Fallback. It should be well below
	// nfqueue.Config.MaxLen: the kernel drops what exceeds that. Zero is DefaultMaxHeld.
	MaxHeld int

	// DatagramTimeout is how long a conversation of UDP, or of any protocol but TCP, is
	// known after its last packet. The next packet then opens another. Zero is
	// DefaultDatagramTimeout.
	DatagramTimeout time.Duration

	// Offload gives the verdicts of decided connections. Nil gives each packet
	// nfqueue.Accept or nfqueue.Drop.
	Offload Offload

	// Other decides packets that belong to no connection: fragments, packets cut before
	// the end of their transport header, packets without an IP header, and ICMP errors
	// about connections that are not followed. Nil accepts the last two and gives the others the
	// Fallback, because they may hide a connection. Connection tracking puts fragments
	// together before a queue sees them.
	Other nfqueue.Handler
}

// Defaults of the fields of Config.
const (
	DefaultMaxBytes        = 16 << 10 // more than a TLS ClientHello has
	DefaultMaxPackets      = 100
	DefaultTimeout         = 10 * time.Second
	DefaultMaxConns        = 65536 // at most 1 KiB each, without the bytes
	DefaultMaxMemory       = 64 << 20
	DefaultMaxHeld         = nfqueue.DefaultMaxLen / 2
	DefaultDatagramTimeout = 2 * time.Minute // the least that RFC 4787 allows, REQ-5
)

// Limits that have no field.
const (
	// openingTimeout is how long a SYN that is not answered is known.
	openingTimeout = time.Minute
	// streamTimeout is how long an established TCP connection without packets is known, the
	// least that RFC 5382 allows (REQ-5).
	streamTimeout = 2*time.Hour + 4*time.Minute
	// endedTimeout is how long a connection is known after its end.
	endedTimeout = 10 * time.Second
)

// withDefaults returns c with every zero field replaced by what it stands for. It panics
// if a field has no meaning.
func (c Config) withDefaults() Config {
	const negative = "connection: Config.%s is %v; want 0 for the default, or more"
	if c.Fallback == More {
		c.Fallback = Drop
	}
	if c.Fallback > Reject {
		panic(fmt.Sprintf("connection: Config.Fallback is %v; want Accept, Drop or Reject", c.Fallback))
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"MaxBytes", &c.MaxBytes, DefaultMaxBytes},
		{"MaxPackets", &c.MaxPackets, DefaultMaxPackets},
		{"MaxConns", &c.MaxConns, DefaultMaxConns},
		{"MaxMemory", &c.MaxMemory, DefaultMaxMemory},
		{"MaxHeld", &c.MaxHeld, DefaultMaxHeld},
	} {
		if *f.value < 0 {
			panic(fmt.Sprintf(negative, f.name, *f.value))
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Timeout", &c.Timeout, DefaultTimeout},
		{"DatagramTimeout", &c.DatagramTimeout, DefaultDatagramTimeout},
	} {
		if *f.value < 0 {
			panic(fmt.Sprintf(negative, f.name, *f.value))
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if c.Offload == nil {
		c.Offload = plain{}
	}
	return c
}
