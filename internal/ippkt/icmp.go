// SPDX-License-Identifier: GPL-2.0-or-later

package ippkt

// ICMP types (RFC 792, 950, 8335).
const (
	icmpEchoReply           = 0
	icmpUnreachable         = 3
	icmpSourceQuench        = 4
	icmpRedirect            = 5
	icmpEcho                = 8
	icmpTimeExceeded        = 11
	icmpParameterProblem    = 12
	icmpTimestamp           = 13
	icmpTimestampReply      = 14
	icmpInformation         = 15
	icmpInformationReply    = 16
	icmpAddressMask         = 17
	icmpAddressMaskReply    = 18
	icmpExtendedEcho        = 42
	icmpExtendedEchoReply   = 43
	icmpv6InformationalBit  = 0x80 // RFC 4443 section 2.1: all types below are errors
	icmpv6Echo              = 128
	icmpv6EchoReply         = 129
	icmpv6ExtendedEcho      = 160
	icmpv6ExtendedEchoReply = 161

	icmpHeaderLen = 8 // of the messages that quote a packet, which follows
)

// icmpInverse returns the type of the answer to a query of type typ, or of the
// query that typ answers. It reports false for messages that are neither; those
// have no identifier.
func icmpInverse(protocol Protocol, typ uint8) (uint8, bool) {
	if protocol == ICMPv6 {
		switch typ {
		case icmpv6Echo:
			return icmpv6EchoReply, true
		case icmpv6EchoReply:
			return icmpv6Echo, true
		case icmpv6ExtendedEcho:
			return icmpv6ExtendedEchoReply, true
		case icmpv6ExtendedEchoReply:
			return icmpv6ExtendedEcho, true
		}
		return typ, false
	}
	switch typ {
	case icmpEcho:
		return icmpEchoReply, true
	case icmpEchoReply:
		return icmpEcho, true
	case icmpTimestamp:
		return icmpTimestampReply, true
	case icmpTimestampReply:
		return icmpTimestamp, true
	case icmpInformation:
		return icmpInformationReply, true
	case icmpInformationReply:
		return icmpInformation, true
	case icmpAddressMask:
		return icmpAddressMaskReply, true
	case icmpAddressMaskReply:
		return icmpAddressMask, true
	case icmpExtendedEcho:
		return icmpExtendedEchoReply, true
	case icmpExtendedEchoReply:
		return icmpExtendedEcho, true
	}
	return typ, false
}

// quoted returns the packet, most often cut, that the ICMP error in b quotes;
// nil if b is none.
func quoted(l *Layout, b []byte) []byte {
	if l.FragmentOffset > 0 || l.Len-l.TransportHeaderOffset < icmpHeaderLen {
		return nil
	}
	h := b[l.TransportHeaderOffset:l.Len]
	switch {
	case l.Version == 4 && l.Protocol == ICMP:
		switch h[0] {
		case icmpUnreachable, icmpSourceQuench, icmpRedirect, icmpTimeExceeded, icmpParameterProblem:
			return h[icmpHeaderLen:]
		}
	case l.Version == 6 && l.Protocol == ICMPv6:
		if h[0]&icmpv6InformationalBit == 0 {
			return h[icmpHeaderLen:]
		}
	}
	return nil
}
