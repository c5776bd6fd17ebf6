// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"golang.org/x/sys/unix"
)

// view has the parts of a packet that the scenario looks at.
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

// tcpFlags are tcpdump's letters, from the lowest bit on.
const tcpFlags = "FSRP.U"

// protocol describes the packet in a few words.
func (v view) protocol() string {
	switch v.Protocol {
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_TCP:
		var flags []byte
		if len(v.header) > 13 {
			for i := range len(tcpFlags) {
				if v.header[13]&(1<<i) != 0 {
					flags = append(flags, tcpFlags[i])
				}
			}
		}
		return fmt.Sprintf("tcp [%s]", flags)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		switch e := echoOf(v.Src.Is6()); v.ICMPType {
		case e.request:
			return fmt.Sprintf("echo request %d", v.echoSequence())
		case e.reply:
			return fmt.Sprintf("echo reply %d", v.echoSequence())
		}
		return fmt.Sprintf("icmp type %d", v.ICMPType)
	}
	return fmt.Sprintf("protocol %d", v.Protocol)
}

// ends returns where a packet comes from and goes to, by the names of the hosts, of which the
// server has these addresses.
func (v view) ends(server ...netip.Addr) (source, destination string) {
	end := func(a netip.Addr, port uint16) string {
		name := "client"
		if slices.Contains(server, a) {
			name = "server"
		}
		if port == 0 {
			return name
		}
		return fmt.Sprintf("%s:%d", name, port)
	}
	return end(v.Src, v.SrcPort), end(v.Dst, v.DstPort)
}
