// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/chifflier/nfqueue-go"
)

// decision is what the handler does with a packet.
type decision struct {
	verdict nfqueue.Verdict
	edit    edit
	what    string // was changed
}

type edit int

const (
	unchanged edit = iota
	rewritten
	marked
)

// Marks for the rules behind the queue.
const (
	markCounted  = 0xc0
	markFiltered = 0xf1
)

// droppedEcho is the sequence number of the echo request that is dropped.
const droppedEcho = 2

// decide chooses the verdict of a packet and edits it.
func decide(k kind, p *nfqueue.Packet, v view) decision {
	switch k {
	case echoRequest:
		switch v.echoSequence() {
		case droppedEcho:
			return decision{verdict: nfqueue.Drop}
		case 3:
			return replaceWord(p, v, "ping", "pong")
		}
	case udpDropped:
		return decision{verdict: nfqueue.Drop}
	case udpReplaced:
		return replaceWord(p, v, "cat", "dog")
	case udpLengthened:
		return replaceWord(p, v, "cat", "elephant")
	case udpCounted:
		return mark(p, markCounted)
	case udpFiltered:
		return mark(p, markFiltered)
	case dnsAnswer:
		return replaceAnswer(p, v)
	case tcpToClient:
		return upperCase(p, v)
	}
	return decision{verdict: nfqueue.Accept}
}

func mark(p *nfqueue.Packet, mark uint32) decision {
	p.SetMark(mark)
	return decision{nfqueue.Accept, marked, fmt.Sprintf("mark 0x%x", mark)}
}

// rewrite accepts a packet with another payload. It may be the packet's own, edited in place.
func rewrite(p *nfqueue.Packet, payload []byte, what string) decision {
	if err := p.SetPayload(payload); err != nil {
		return decision{verdict: nfqueue.Drop, what: err.Error()}
	}
	return decision{nfqueue.Accept, rewritten, what}
}

func replaceWord(p *nfqueue.Packet, v view, old, word string) decision {
	i := bytes.Index(v.packet[v.body:], []byte(old))
	if i < 0 {
		return decision{verdict: nfqueue.Accept}
	}
	i += v.body
	// There is room behind the packet, so this does not allocate.
	payload := slices.Replace(v.packet, i, i+len(old), []byte(word)...)
	return rewrite(p, payload, fmt.Sprintf("%q to %q", old, word))
}

// upperCase changes the letters in a piece of a stream. The length stays, so sequence numbers stay
// valid.
func upperCase(p *nfqueue.Packet, v view) decision {
	body := v.packet[v.body:]
	for i, c := range body {
		if 'a' <= c && c <= 'z' {
			body[i] -= 'a' - 'A'
		}
	}
	if len(body) == 0 {
		return decision{verdict: nfqueue.Accept}
	}
	return rewrite(p, v.packet, fmt.Sprintf("%d bytes to upper case", len(body)))
}
