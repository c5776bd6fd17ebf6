// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapfilter understands the language of pcap-filter(7), in which users of
// tcpdump and Wireshark say which packets they want, as far as it is about IP packets
// without a link layer.
//
// What a filter matches is what libpcap lets it match on LINKTYPE_RAW, its limits
// included: "tcp" and ports are found in IPv6 without extension headers only, tcp[...] in
// IPv4 only, and a packet that is too short for what the filter looks at does not match,
// not even with "not".
package pcapfilter

// Filter is a compiled filter. It may be used by several goroutines at once.
type Filter struct{ root pred }

// Compile reads a filter. An empty one matches every packet. The error is an *Error.
func Compile(text string) (*Filter, error) {
	p := &parser{text: text}
	if err := p.lex(); err != nil {
		return nil, err
	}
	if len(p.tokens) == 0 {
		return &Filter{root: constant(yes)}, nil
	}
	root, err := p.expression()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.text != "" {
		return nil, p.error(t, `expected "and", "or", or the end`)
	}
	return &Filter{root: root}, nil
}

// Match reports whether the filter matches a packet that starts with its IP header, which may be cut,
// and had length bytes on the wire.
func (f *Filter) Match(packet []byte, length int) bool { return f.root(packet, uint32(length)) == yes }

// result is what a part of a filter finds.
type result uint8

const (
	no result = iota
	yes
	tooShort // the packet has no such bytes, which decides the whole filter
)

func is(b bool) result {
	if b {
		return yes
	}
	return no
}

// pred is a part of a filter, given the packet and its length on the wire.
type pred func(b []byte, length uint32) result

func constant(r result) pred { return func([]byte, uint32) result { return r } }

func and(p, q pred) pred {
	return func(b []byte, n uint32) result {
		if r := p(b, n); r != yes {
			return r
		}
		return q(b, n)
	}
}

func or(p, q pred) pred {
	return func(b []byte, n uint32) result {
		if r := p(b, n); r != no {
			return r
		}
		return q(b, n)
	}
}

func not(p pred) pred {
	return func(b []byte, n uint32) result {
		switch r := p(b, n); r {
		case yes:
			return no
		case no:
			return yes
		default:
			return r
		}
	}
}
