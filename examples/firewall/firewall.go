// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"encoding/binary"
	"log"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/net/dns/dnsmessage"
)

// firewall drops packets that lead to blocked names, or names below them.
type firewall struct {
	blocked []string
	log     *log.Logger
}

// ServePacket decides a packet.
func (f *firewall) ServePacket(p *nfqueue.Packet) nfqueue.Verdict {
	name := destination(p)
	if !f.blocks(name) {
		return nfqueue.Accept
	}
	f.log.Println("blocked", name)
	return nfqueue.Drop
}

// blocks reports whether a name is blocked, or is below one that is.
func (f *firewall) blocks(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, b := range f.blocked {
		if name == b || strings.HasSuffix(name, "."+b) {
			return true
		}
	}
	return false
}

// destination returns the name that a packet asks for, or wants to talk to, if it has one.
func destination(p *nfqueue.Packet) string {
	flow, _ := p.Flow()
	t, ok := p.Transport()
	switch {
	case !ok:
	case t.Protocol == nfqueue.UDP && flow.DstPort == 53:
		return question(t.Body)
	case t.Protocol == nfqueue.TCP && flow.DstPort == 443:
		return serverName(t.Body)
	}
	return ""
}

// question returns the name that a DNS query asks for.
func question(message []byte) string {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil {
		return ""
	}
	q, err := p.Question()
	if err != nil {
		return ""
	}
	return q.Name.String()
}

// serverName returns the server name in a TLS Client Hello (RFC 8446, section 4.1.2, and
// RFC 6066, section 3), or in the beginning of one that goes on in the next segment.
func serverName(record []byte) string {
	if len(record) < 6 || record[0] != 22 || record[5] != 1 { // handshake, client_hello
		return ""
	}
	h := record[min(5+4+2+32, len(record)):] // behind the headers, the version and the random
	h = behind(h, 1)                         // session id
	h = behind(h, 2)                         // cipher suites
	h = behind(h, 1)                         // compression methods
	h = h[min(2, len(h)):]                   // length of the extensions
	for len(h) >= 4 {
		typ := binary.BigEndian.Uint16(h)
		if typ == 0 && len(h) >= 9 { // server_name: a list, of one entry of type host_name
			n := int(binary.BigEndian.Uint16(h[7:]))
			if len(h) < 9+n {
				return ""
			}
			return string(h[9 : 9+n])
		}
		h = behind(h[2:], 2)
	}
	return ""
}

// behind skips a vector with a length of n bytes before it, and returns nothing if it is
// cut.
func behind(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	size := int(b[0])
	if n == 2 {
		size = int(binary.BigEndian.Uint16(b))
	}
	return b[min(n+size, len(b)):]
}
