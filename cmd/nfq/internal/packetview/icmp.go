// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// icmp is an ICMP or ICMPv6 message.
type icmp struct {
	Type   uint8   `json:"type"`
	Code   uint8   `json:"code"`
	Name   string  `json:"name"`
	ID     *uint16 `json:"id,omitempty"`
	Seq    *uint16 `json:"seq,omitempty"`
	Target string  `json:"target,omitempty"` // of neighbour discovery (RFC 4861)
	Quote  string  `json:"quote,omitempty"`  // the flow of the packet that an error is about
}

// newICMPv4 returns nil if the header is not complete.
func newICMPv4(b []byte) *icmp {
	var h layers.ICMPv4
	if h.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
		return nil
	}
	i := &icmp{Type: h.TypeCode.Type(), Code: h.TypeCode.Code(), Name: h.TypeCode.String()}
	switch i.Type {
	case layers.ICMPv4TypeEchoRequest:
		i.Name, i.ID, i.Seq = "echo request", &h.Id, &h.Seq
	case layers.ICMPv4TypeEchoReply:
		i.Name, i.ID, i.Seq = "echo reply", &h.Id, &h.Seq
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeTimeExceeded,
		layers.ICMPv4TypeRedirect,
		layers.ICMPv4TypeParameterProblem:
		i.Quote = quote(h.Payload)
	}
	return i
}

// listenerReport is a type of RFC 3810 without a name in gopacket.
const listenerReport = 143

func newICMPv6(b []byte) *icmp {
	var h layers.ICMPv6
	if len(b) < 8 || h.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
		return nil
	}
	i := &icmp{Type: h.TypeCode.Type(), Code: h.TypeCode.Code(), Name: h.TypeCode.String()}
	if i.Type == listenerReport {
		i.Name = "MulticastListenerReportV2"
	}
	id, seq := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	switch i.Type {
	case layers.ICMPv6TypeEchoRequest:
		i.Name, i.ID, i.Seq = "echo request", &id, &seq
	case layers.ICMPv6TypeEchoReply:
		i.Name, i.ID, i.Seq = "echo reply", &id, &seq
	case layers.ICMPv6TypeNeighborSolicitation, layers.ICMPv6TypeNeighborAdvertisement:
		if len(b) >= 24 {
			i.Target = netip.AddrFrom16([16]byte(b[8:24])).String()
		}
	case layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6TypePacketTooBig,
		layers.ICMPv6TypeTimeExceeded,
		layers.ICMPv6TypeParameterProblem:
		i.Quote = quote(b[8:])
	}
	return i
}

// quote describes the packet that an error message quotes, "" if that cannot be read.
func quote(b []byte) string {
	f, err := ippkt.FlowOf(b)
	if !f.Src.IsValid() || err != nil {
		return ""
	}
	return fmt.Sprintf("%s %s > %s", protocolName(f.Protocol), end(f.Src.String(), f.SrcPort),
		end(f.Dst.String(), f.DstPort))
}

func (i *icmp) text() string {
	s := i.Name
	if i.ID != nil {
		s += fmt.Sprintf(", id %d, seq %d", *i.ID, *i.Seq)
	}
	if i.Target != "" {
		s += ", target " + i.Target
	}
	if i.Quote != "" {
		s += ", about " + i.Quote
	}
	return s
}
