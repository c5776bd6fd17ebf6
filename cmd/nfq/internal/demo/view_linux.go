// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"golang.org/x/sys/unix"
)

// view is what the scenario looks at in a packet.
type view struct {
	ippkt.Flow
	packet []byte // the whole of it
	header []byte // of the transport protocol, with what follows
	body   int    // offset in packet of what the transport protocol carries
}

// viewOf finds the parts of a packet. What cannot be read is left empty.
func viewOf(packet []byte) view {
	v := view{packet: packet, body: len(packet)}
	v.Flow, _ = ippkt.FlowOf(packet)
	t, ok := ippkt.FindTransport(packet, false)
	if !ok {
		return v
	}
	v.header = packet[t.TransportHeaderOffset:t.Len]
	v.body = t.BodyOffset
	return v
}

// echoSequence returns the sequence number of an echo request or reply.
func (v view) echoSequence() uint16 {
	if len(v.header) < 8 {
		return 0
	}
	return binary.BigEndian.Uint16(v.header[6:])
}

var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}

// protocol describes the packet in a few words.
func (v view) protocol() string {
	switch v.Protocol {
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_TCP:
		words := []string{"tcp"}
		if len(v.header) > 13 {
			for i, name := range tcpFlags {
				if v.header[13]&(1<<i) != 0 {
					words = append(words, name)
				}
			}
		}
		return strings.Join(words, " ")
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		switch e := echoOf(v.Src.Is6()); v.ICMPType {
		case e.request:
			return fmt.Sprintf("icmp echo request %d", v.echoSequence())
		case e.reply:
			return fmt.Sprintf("icmp echo reply %d", v.echoSequence())
		}
		return fmt.Sprintf("icmp type %d", v.ICMPType)
	}
	return fmt.Sprintf("protocol %d", v.Protocol)
}
