// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"slices"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/sys/unix"
)

// kind tells packets apart that are treated differently.
type kind int

const (
	unknown kind = iota // none of the scenario's
	echoRequest
	echoReply
	udpAccepted
	udpDropped
	udpReplaced
	udpLengthened
	udpCounted
	udpFiltered
	dnsQuery
	dnsAnswer
	tcpToServer
	tcpToClient
	markerThere
	markerBack
	kinds
)

var kindNames = [kinds]string{
	unknown:       "unknown",
	echoRequest:   "echo, 2nd dropped, 3rd rewritten",
	echoReply:     "echo reply",
	udpAccepted:   "udp 5001, accepted",
	udpDropped:    "udp 5002, dropped",
	udpReplaced:   "udp 5003, a word replaced",
	udpLengthened: "udp 5004, a word made longer",
	udpCounted:    "udp 5005, marked, a rule counts it",
	udpFiltered:   "udp 5006, marked, a rule drops it",
	dnsQuery:      "dns query",
	dnsAnswer:     "dns answer, address rewritten",
	tcpToServer:   "tcp 7000, to the server",
	tcpToClient:   "tcp 7000, upper case to the client",
	markerThere:   "marker, to the server",
	markerBack:    "marker, to the client",
}

func (k kind) String() string { return kindNames[k] }

// stream reports whether the packets of a kind carry a stream, whose number of packets the kernel
// chooses.
func (k kind) stream() bool { return k == tcpToServer || k == tcpToClient }

// marked reports whether packets of a kind get a mark that a rule behind the queue looks at.
func (k kind) marked() bool { return k == udpCounted || k == udpFiltered }

// replaced reports whether payloads of a kind are replaced.
func (k kind) replaced() bool {
	switch k {
	case echoRequest, udpReplaced, udpLengthened, dnsAnswer, tcpToClient:
		return true
	}
	return false
}

// Ports of the server. Those of the UDP kinds in between are firstUDPPort and up, in the order of
// the kinds.
const (
	dnsPort      = 53
	markerPort   = 5000
	firstUDPPort = 5001
	tcpPort      = 7000
)

func (k kind) udpPort() uint16 { return firstUDPPort + uint16(k-udpAccepted) }

// classify returns the kind of a packet.
func classify(v view) kind {
	switch v.Protocol {
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		switch e := echoOf(v.Src.Is6()); v.ICMPType {
		case e.request:
			return echoRequest
		case e.reply:
			return echoReply
		}
	case unix.IPPROTO_TCP:
		switch {
		case v.DstPort == tcpPort:
			return tcpToServer
		case v.SrcPort == tcpPort:
			return tcpToClient
		}
	case unix.IPPROTO_UDP:
		switch {
		case v.DstPort >= udpAccepted.udpPort() && v.DstPort <= udpFiltered.udpPort():
			return udpAccepted + kind(v.DstPort-firstUDPPort)
		case v.DstPort == dnsPort:
			return dnsQuery
		case v.SrcPort == dnsPort:
			return dnsAnswer
		case v.DstPort == markerPort:
			return markerThere
		case v.SrcPort == markerPort:
			return markerBack
		}
	}
	return unknown
}

// key names a flow.
type key struct {
	family nfqueue.Family
	kind   kind
}

// flow is all packets of a kind in one address family.
type flow struct {
	key
	sent [][]byte // what its sender gave to the socket: datagrams, or one stream
	want [][]byte // what its receiver must get
	got  [][]byte // what its receiver got

	tally   tally  // of the handler
	matched uint64 // packets that the rule behind the queue knew by their mark
}

// tally counts the verdicts of a flow. Every rewritten or marked packet is also an accepted one.
type tally struct{ accepted, dropped, rewritten, marked int }

func (t tally) queued() int { return t.accepted + t.dropped }

// send records what is about to be sent, and which part must arrive.
func (f *flow) send(sent []byte, want ...[]byte) {
	f.sent = append(f.sent, sent)
	f.want = append(f.want, want...)
}

// flows has every flow of the scenario. The map itself does not change.
type flows map[key]*flow

var families = []nfqueue.Family{nfqueue.FamilyIPv4, nfqueue.FamilyIPv6}

func newFlows() flows {
	all := flows{}
	for _, family := range families {
		for k := unknown + 1; k < kinds; k++ {
			id := key{family, k}
			all[id] = &flow{key: id}
		}
	}
	return all
}

// inOrder returns the flows in the order of the report.
func (all flows) inOrder() []*flow {
	var list []*flow
	for _, f := range all {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *flow) int {
		if a.family != b.family {
			return int(a.family) - int(b.family)
		}
		return int(a.kind) - int(b.kind)
	})
	return list
}
