// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapfilter compiles the language of pcap-filter(7), in which users of tcpdump and
// Wireshark say which packets they want, as far as it is about packets without a link layer.
//
// A filter matches the packets that libpcap's unoptimised program for LINKTYPE_RAW matches. That
// includes libpcap's limits: it finds ports in IPv6 only without extension headers, it finds
// tcp[...] only in IPv4, and a packet that is too short for the bytes that a filter reads does
// not match, not even with "not". docs/dump.md lists the departures. TestLibpcap compares.
//
// The package has a compiler of its own because there is no other to use. golang.org/x/net/bpf
// runs programs and does not compile expressions. github.com/packetcap/go-pcap compiles some, for
// Ethernet only, without len, less, greater, port ranges and IPv6 addresses, and rests since 2024.
// libpcap itself needs cgo, and released programs are static. It also reports a syntax error
// without its place. Closures are used instead of BPF since nothing else runs the program.
package pcapfilter

import "github.com/chifflier/nfqueue-go"

// Packet is what a filter looks at.
type Packet struct {
	// Data starts with the network header, and may be cut.
	Data []byte
	// Length is the number of bytes that the packet had before it was cut.
	Length int
	// EtherType is the protocol of Data. If it is 0, the first four bits of Data say whether it is
	// IPv4 or IPv6.
	EtherType uint16
	// Outbound says that this machine sends the packet, now or in a moment.
	Outbound bool
}

// Of returns what a filter looks at in a packet, whose memory it shares. Packets are outbound at
// the hooks output and postrouting.
func Of(p *nfqueue.Packet) Packet {
	hook := p.Hook()
	return Packet{
		Data: p.Payload(), Length: p.FullLen(), EtherType: p.EtherType(),
		Outbound: hook == nfqueue.HookOutput || hook == nfqueue.HookPostrouting,
	}
}

// Filter is a compiled filter. Several goroutines may use it at once.
type Filter struct{ root pred }

// Compile compiles a filter. An empty one matches every packet. Compile looks up names of hosts,
// and reads /etc/services and /etc/protocols for names of ports and protocols. The error is an
// *Error.
func Compile(text string) (*Filter, error) { return compile(text, systemNames) }

func compile(text string, names names) (*Filter, error) {
	p := &parser{text: text, names: names}
	if err := p.lex(); err != nil {
		return nil, err
	}
	if len(p.tokens) == 0 {
		return &Filter{root: constant(yes)}, nil
	}
	root, err := p.expression(undefined)
	if err != nil {
		return nil, err
	}
	if root, err = p.condition(root, undefined); err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.error(t, "%s", instead(t, `"and", "or", or the end`))
	}
	return &Filter{root: root.pred}, nil
}

// Match reports whether the filter matches a packet. It allocates nothing.
func (f *Filter) Match(p Packet) bool { return f.root(p) == yes }

// result is the outcome of a part of a filter.
type result uint8

const (
	no result = iota
	yes
	// reject decides the whole filter: the packet lacks the bytes that it reads, or it divides by
	// zero.
	reject
)

func is(b bool) result {
	if b {
		return yes
	}
	return no
}

// pred is a part of a filter.
type pred func(Packet) result

func constant(r result) pred { return func(Packet) result { return r } }

func and(a, b pred) pred {
	return func(p Packet) result {
		if r := a(p); r != yes {
			return r
		}
		return b(p)
	}
}

func or(a, b pred) pred {
	return func(p Packet) result {
		if r := a(p); r != no {
			return r
		}
		return b(p)
	}
}

func not(a pred) pred {
	return func(p Packet) result {
		switch r := a(p); r {
		case yes:
			return no
		case no:
			return yes
		default:
			return r
		}
	}
}
