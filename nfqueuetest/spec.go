// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
)

// Spec describes a packet and the rule that queues it. The zero value is an IPv4 UDP packet that
// has arrived on eth0, at the prerouting hook.
//
// A Spec says what the kernel knows. As with a real one a queue is told less: it depends on the
// hook, the copy mode and range, and the flags of the queue.
type Spec struct {
	// Payload is the packet from its network header on. Nil is a UDP packet of Family with a few
	// bytes of text, between two addresses for documentation.
	Payload []byte
	// FullLen is the length of the packet in bytes if Payload is only its beginning, as in a capture
	// with a small snap length. A handler then sees a truncated packet. Zero is the length of
	// Payload.
	FullLen int
	// Family is the protocol family of the rule. Zero is that of Payload.
	Family nfqueue.Family
	// EtherType is that of Payload. Zero is IPv4 or IPv6 by its first byte.
	EtherType uint16
	// Hook is where the rule is.
	Hook nfqueue.Hook

	// InDev, OutDev, PhysInDev and PhysOutDev are interfaces by index; InDevName,
	// OutDevName, PhysInDevName and PhysOutDevName are the same by name. Each follows from the other.
	// If both are zero a packet arrives on eth0 and leaves by eth0, or by eth1 if it is forwarded. In
	// the bridge family these are the ports, and the bridge is br0.
	InDev, OutDev, PhysInDev, PhysOutDev                 int
	InDevName, OutDevName, PhysInDevName, PhysOutDevName string

	// Mark and Priority are those of the packet, zero for none.
	Mark, Priority uint32
	// HardwareAddr is the link-layer source address, of at most 8 bytes, of a packet that has
	// arrived. Nil is 02:00:00:00:00:01.
	HardwareAddr net.HardwareAddr
	// VLAN is the tag of a packet of the bridge family, zero for none.
	VLAN nfqueue.VLAN
	// LinkHeader is the link-layer header of a packet of the bridge family. Nil is an
	// Ethernet header that fits.
	LinkHeader []byte
	// Time is when the packet was received, zero if the kernel does not record that.
	Time time.Time
	// Owner opened the packet's socket, nil for none. With the kernel that is the socket that
	// sent the packet at HookOutput and HookPostrouting, and the one that will receive it, if it
	// is connected, at HookInput.
	Owner *Owner
	// CgroupClassID is the net_cls class of that socket, zero for none.
	CgroupClassID uint32
	// SecurityContext is the packet's, nil for none.
	SecurityContext []byte
	// Conntrack is the packet's entry, as the CTA_* attributes that the kernel puts into NFQA_CT. Nil
	// is none; the kernel then ignores changes to it.
	Conntrack []byte
	// ConntrackInfo is the enum ip_conntrack_info of the packet and Conntrack.
	ConntrackInfo uint32
	// SKBInfo says what is not done yet on the packet. With ChecksumNotReady the checksum of a UDP
	// packet in Payload should be the sum of the pseudo-header, as in the kernel: otherwise SetPayload
	// takes it for a tunnel's packet, with an incomplete checksum inside, and refuses.
	SKBInfo nfqueue.SKBInfo

	// Bypass is that of the rule: the packet passes if nobody has bound the queue.
	Bypass bool
	// Match reports, after the verdict Repeat, whether the rule matches the edited packet again; if
	// not, the packet passes. Nil always matches, except with Do and Replay, where it never does.
	Match func(Spec) bool
}

// Owner is a user and a group: their UID and GID in the initial user namespace.
type Owner struct{ UID, GID uint32 }

const (
	etherTypeIPv4 = 0x0800 // ETH_P_IP
	etherTypeIPv6 = 0x86dd // ETH_P_IPV6
)

// withDefaults replaces zero values by what they stand for.
func (s Spec) withDefaults() Spec {
	if s.Payload == nil {
		src, dst := netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("198.51.100.1:9")
		if s.Family == nfqueue.FamilyIPv6 || s.EtherType == etherTypeIPv6 {
			src = netip.MustParseAddrPort("[2001:db8::1]:1024")
			dst = netip.MustParseAddrPort("[2001:db8:1::1]:9")
		}
		s.Payload = UDP(src, dst, []byte("nfqueuetest"))
	}
	six := len(s.Payload) > 0 && s.Payload[0]>>4 == 6
	if s.EtherType == 0 {
		s.EtherType = etherTypeIPv4
		if six {
			s.EtherType = etherTypeIPv6
		}
	}
	if s.Family == 0 {
		s.Family = nfqueue.FamilyIPv4
		if six {
			s.Family = nfqueue.FamilyIPv6
		}
	}
	s.linkDefaults()
	return s
}

func (s *Spec) linkDefaults() {
	in := s.Hook != nfqueue.HookOutput && s.Hook != nfqueue.HookPostrouting
	out := s.Hook == nfqueue.HookForward || !in
	egress := "eth0"
	if in {
		egress = "eth1"
	}
	if s.Family == nfqueue.FamilyBridge {
		defaultDev(in, s.InDev, &s.InDevName, "br0")
		defaultDev(out, s.OutDev, &s.OutDevName, "br0")
		defaultDev(in, s.PhysInDev, &s.PhysInDevName, "eth0")
		defaultDev(out, s.PhysOutDev, &s.PhysOutDevName, egress)
	} else {
		defaultDev(in, s.InDev, &s.InDevName, "eth0")
		defaultDev(out, s.OutDev, &s.OutDevName, egress)
	}
	if s.HardwareAddr == nil {
		s.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	}
	if s.LinkHeader == nil && s.Family == nfqueue.FamilyBridge {
		s.LinkHeader = append([]byte{2, 0, 0, 0, 0, 2}, s.HardwareAddr...)
		s.LinkHeader = append(s.LinkHeader, byte(s.EtherType>>8), byte(s.EtherType))
	}
}

func defaultDev(has bool, index int, name *string, def string) {
	if has && index == 0 && *name == "" {
		*name = def
	}
}

// packet translates s, which has its defaults, for the kernel k.
func (s Spec) packet(k *fakekernel.Kernel) fakekernel.Packet {
	dev := func(index int, name string) uint32 {
		switch {
		case name == "":
		case index == 0:
			return k.LinkIndex(name)
		default:
			k.SetLink(uint32(index), name)
		}
		return uint32(index)
	}
	p := fakekernel.Packet{
		Family: uint8(s.Family), EtherType: s.EtherType, Hook: uint8(s.Hook),
		InDev: dev(s.InDev, s.InDevName), OutDev: dev(s.OutDev, s.OutDevName),
		PhysInDev: dev(s.PhysInDev, s.PhysInDevName), PhysOutDev: dev(s.PhysOutDev, s.PhysOutDevName),
		Mark: s.Mark, Priority: s.Priority, HardwareAddr: s.HardwareAddr,
		VLAN:       fakekernel.VLAN{TCI: s.VLAN.TCI, Protocol: s.VLAN.Protocol},
		LinkHeader: s.LinkHeader, Time: s.Time, ClassID: s.CgroupClassID,
		SecCtx: s.SecurityContext, Conntrack: s.Conntrack, ConntrackInfo: s.ConntrackInfo,
		SKBInfo: uint32(s.SKBInfo), Payload: s.Payload, Len: s.FullLen,
	}
	if s.Owner != nil {
		p.Owner = &fakekernel.Owner{UID: s.Owner.UID, GID: s.Owner.GID}
	}
	return p
}

// rule returns the rule of s.
func (s Spec) rule(queue uint16) fakekernel.Rule {
	r := fakekernel.Rule{Queue: queue, Bypass: s.Bypass}
	if s.Match != nil {
		r.Match = func(p fakekernel.Packet) bool {
			now := s
			now.Mark, now.Priority, now.SKBInfo = p.Mark, p.Priority, nfqueue.SKBInfo(p.SKBInfo)
			now.VLAN, now.LinkHeader = nfqueue.VLAN(p.VLAN), p.LinkHeader
			now.Payload, now.FullLen = bytes.Clone(p.Payload), p.Len
			return s.Match(now)
		}
	}
	return r
}
