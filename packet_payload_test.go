// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// queued returns a packet with a payload, as a kernel with GSO queues it.
func queued(t *testing.T, family Family, hook Hook, info SKBInfo, payload []byte) *Packet {
	t.Helper()
	p, err := decoded(packetMessage(family, 1, attr{nfqmsg.AttrPacketHdr,
		packetHdr(1, etherTypeIPv4, hook)},
		attr{nfqmsg.AttrSKBInfo, be32(uint32(info))}, attr{nfqmsg.AttrPayload, payload}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// built puts a packet together, with all lengths and checksums.
func built(t *testing.T, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true,
		ComputeChecksums: true}, parts...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func ipv4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: []byte{192, 0, 2, 1},
		DstIP: []byte{192, 0, 2, 2}}
}

// TestRefusedPayloadLeavesPacket: after a refusal the packet is as before it, in all that it
// shows and sends.
func TestRefusedPayloadLeavesPacket(t *testing.T) {
	cut := bytes.Clone(udpPacket[:27])
	cut[12]++ // another source
	for _, first := range []bool{false, true} {
		p := queued(t, FamilyIPv4, HookOutput, 0, udpPacket)
		if first {
			if err := p.SetPayload(append(bytes.Clone(udpPacket), "there"...)); err != nil {
				t.Fatal(err)
			}
		}
		payload, flow := bytes.Clone(p.Payload()), flowOf(p)
		if err := p.SetPayload(cut); err == nil {
			t.Fatal("a packet that ends inside its transport header was taken")
		}
		if !bytes.Equal(p.Payload(), payload) || flowOf(p) != flow ||
			p.edits.Has(nfqmsg.EditPayload) != first {
			t.Errorf("the packet became %x, is to be sent: %v", p.Payload(), p.edits.Has(nfqmsg.EditPayload))
		}
	}
}

func flowOf(p *Packet) Flow {
	f, _ := p.Flow()
	return f
}

// TestSetPayloadSetsStaleLengths: lengths in the headers of a payload do not matter, whatever
// they are.
func TestSetPayloadSetsStaleLengths(t *testing.T) {
	p := queued(t, FamilyIPv4, HookOutput, 0, udpPacket)
	b := append(bytes.Clone(udpPacket[:20]), bytes.Repeat([]byte{1}, 12)...)
	b = append(b, udpPacket[20:]...)
	b[0] += 3
	for _, stale := range []uint16{30, 0, 31, 0xffff} {
		binary.BigEndian.PutUint16(b[2:], stale)
		if err := p.SetPayload(b); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint16(p.Payload()[2:]); int(got) != len(b) {
			t.Errorf("total length %d after %d, want %d", got, stale, len(b))
		}
	}
}

// TestHeadersKeepTheirLength: where the kernel goes on behind the headers that it has seen, they
// keep their length, also without any correction. A bridge has not gone through them.
func TestHeadersKeepTheirLength(t *testing.T) {
	longer := append(bytes.Clone(udpPacket[:20]), 1, 1, 1, 0)
	longer = append(longer, udpPacket[20:]...)
	longer[0]++
	ipv6 := built(t, &layers.IPv6{Version: 6, HopLimit: 64,
		NextHeader: layers.IPProtocolNoNextHeader, SrcIP: make([]byte, 16), DstIP: make([]byte,
			16)}, gopacket.Payload("hi"))
	hopByHop := bytes.Clone(ipv6[:40])
	hopByHop[5], hopByHop[6] = 8, 0
	hopByHop = append(hopByHop, 59, 0, 1, 4, 0, 0, 0, 0)
	for _, c := range []struct {
		family   Family
		hook     Hook
		from, to []byte
		refused  bool
	}{
		{FamilyIPv4, HookInput, udpPacket, longer, true},
		{FamilyIPv4, HookInput, longer, udpPacket, true},
		{FamilyIPv4, HookInput, longer, longer, false},
		{FamilyIPv4, HookForward, udpPacket, longer, false},
		{FamilyIPv4, HookForward, longer, udpPacket, true},
		{FamilyBridge, HookInput, udpPacket, longer, false},
		{FamilyBridge, HookForward, longer, longer[:23], true},
		{FamilyIPv6, HookInput, ipv6, hopByHop, true},
		{FamilyIPv6, HookInput, hopByHop, append(bytes.Clone(ipv6), 1, 2, 3, 4, 5, 6), true},
		{FamilyIPv6, HookInput, ipv6, ipv6[:40], false},
		{FamilyIPv6, HookInput, ipv6, ipv6[:39], true},
		{FamilyIPv6, HookInput, ipv6, longer, true},
		{FamilyIPv6, HookForward, ipv6, hopByHop, false},
		{FamilyIPv6, HookForward, hopByHop, ipv6, true}, // too short
	} {
		p := queued(t, c.family, c.hook, 0, c.from)
		if err := p.SetPayloadRaw(bytes.Clone(c.to)); (err != nil) != c.refused {
			t.Errorf("%v, %v: % x for % x: %v", c.family, c.hook, c.to, c.from, err)
		}
	}
}

// TestPaddingIsNoPayload: what an Ethernet frame has behind a short packet can be neither seen
// nor sent.
func TestPaddingIsNoPayload(t *testing.T) {
	padded := append(bytes.Clone(udpPacket), make([]byte, 16)...)
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
		want string
	}{
		{"in place", func(b []byte) []byte { b[28] = 'H'; return b }, "Hi"},
		{"longer", func(b []byte) []byte { return append(b, " there"...) }, "hi there"},
		{"as long as the frame", func(b []byte) []byte {
			return append(b,
				"sixteen bytes ..."[:16]...)
		}, "hisixteen bytes .."},
		{"shorter", func(b []byte) []byte { return b[:29] }, "h"},
	} {
		p := queued(t, FamilyBridge, HookForward, 0, padded)
		if len(p.Payload()) != len(udpPacket) || p.FullLen() != len(udpPacket) {
			t.Errorf("a payload of %d bytes, the full length is %d", len(p.Payload()), p.FullLen())
		}
		if err := p.SetPayload(c.edit(p.Payload())); err != nil {
			t.Fatal(err)
		}
		b := p.Payload()
		if string(b[28:]) != c.want || int(binary.BigEndian.Uint16(b[2:])) != len(b) ||
			int(binary.BigEndian.Uint16(b[24:])) != len(b)-20 {
			t.Errorf("%s: %x", c.name, b)
		}
	}
	arp := bytes.Repeat([]byte{0x45}, 46) // not IP, though it begins like it
	p, err := decoded(packetMessage(FamilyBridge, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(1, 0x0806,
		HookForward)}, attr{nfqmsg.AttrPayload, arp}))
	if err != nil || !bytes.Equal(p.Payload(), arp) {
		t.Errorf("%v, %x", err, p.Payload())
	}
}

// TestSetPayloadKeepsSurplus: bytes behind a UDP datagram stay that unless the packet's length
// changes.
func TestSetPayloadKeepsSurplus(t *testing.T) {
	surplus := append(bytes.Clone(udpPacket), "option"...)
	surplus[3] += 6
	for _, c := range []struct {
		name   string
		edit   func([]byte) []byte
		length int // of UDP
	}{
		{"as long", func(b []byte) []byte { b[8]--; return b }, 10},
		{"as long, another slice", func(b []byte) []byte { return bytes.Clone(b) }, 10},
		{"longer", func(b []byte) []byte { return append(b, 1) }, 17},
		{"shorter", func(b []byte) []byte { return b[:30] }, 10},
	} {
		p := queued(t, FamilyIPv4, HookOutput, 0, surplus)
		if err := p.SetPayload(c.edit(p.Payload())); err != nil {
			t.Fatal(err)
		}
		b := p.Payload()
		if got := int(binary.BigEndian.Uint16(b[24:])); got != c.length {
			t.Errorf("%s: UDP length %d, want %d", c.name, got, c.length)
		}
		whole := gopacket.NewPacket(b, layers.LayerTypeIPv4, gopacket.Default)
		udp := whole.TransportLayer().(*layers.UDP)
		if err := udp.SetNetworkLayerForChecksum(whole.NetworkLayer()); err != nil {
			t.Fatal(err)
		}
		if err, wrong := whole.VerifyChecksums(); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %v, %v", c.name, err, wrong)
		}
	}
}

// TestSetBody: the body is replaced behind the headers as they now are, of any length, and the
// packet is valid afterwards.
func TestSetBody(t *testing.T) {
	surplus := append(bytes.Clone(udpPacket), "option"...)
	surplus[3] += 6
	long := bytes.Repeat([]byte("long"), 1000) // more than there is room
	for _, c := range []struct {
		name    string
		packet  []byte
		body    func(body []byte) []byte
		want    string
		surplus string
	}{
		{"in place", udpPacket, func(b []byte) []byte { b[0]++; return b }, "ii", ""},
		{"appended in place", udpPacket, func(b []byte) []byte { return append(b, " there"...) },
			"hi there", ""},
		{"shortened in place", udpPacket, func(b []byte) []byte { return b[:1] }, "h", ""},
		{"its end", udpPacket, func(b []byte) []byte { return b[1:] }, "i", ""},
		{"another slice", udpPacket, func([]byte) []byte { return []byte("other") }, "other", ""},
		{"none", udpPacket, func([]byte) []byte { return nil }, "", ""},
		{"longer than the room", udpPacket, func([]byte) []byte { return long }, string(long), ""},
		{"surplus stays", surplus, func([]byte) []byte { return []byte("HI") }, "HI", "option"},
		{"surplus goes", surplus, func(b []byte) []byte { return append(b, '!') }, "hi!", ""},
	} {
		p := queued(t, FamilyIPv4, HookOutput, 0, c.packet)
		tr, _ := p.Transport()
		tr.Header[1]++ // the port
		if err := p.SetBody(c.body(tr.Body)); err != nil {
			t.Fatal(err)
		}
		all, _ := verdictAttrs(t, p)
		whole := gopacket.NewPacket(all[nfqmsg.AttrPayload], layers.LayerTypeIPv4, gopacket.Default)
		udp := whole.TransportLayer().(*layers.UDP)
		if err := udp.SetNetworkLayerForChecksum(whole.NetworkLayer()); err != nil {
			t.Fatal(err)
		}
		if err, wrong := whole.VerifyChecksums(); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %v, %v", c.name, err, wrong)
		}
		if string(udp.Payload) != c.want || int(udp.Length) != 8+len(c.want) || udp.SrcPort != 12346 {
			t.Errorf("%s: %x", c.name, all[nfqmsg.AttrPayload])
		}
		if got := string(all[nfqmsg.AttrPayload][28+len(c.want):]); got != c.surplus {
			t.Errorf("%s: behind the datagram: %q", c.name, got)
		}
	}
}

// TestRefusedBodyLeavesPacket: where a body cannot be replaced the packet stays as it is.
func TestRefusedBodyLeavesPacket(t *testing.T) {
	later := bytes.Clone(udpPacket)
	later[7] = 2
	lite := bytes.Clone(udpPacket)
	lite[9] = uint8(UDPLite)
	for _, c := range []struct {
		name   string
		packet []byte
		full   int
		body   []byte
		want   error
	}{
		{"truncated", bytes.Clone(udpPacket), 31, []byte("HI"), ErrTruncated},
		{"later fragment", later, 0, []byte("HI"), errNoTransport},
		{"too long", udpPacket, 0, make([]byte, MaxPayload-27), nil},
		{"not covered", lite, 0, nil, ippkt.ErrCoverage},
	} {
		attrs := []attr{{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookOutput)}}
		if c.full > 0 {
			attrs = append(attrs, attr{nfqmsg.AttrCapLen, be32(uint32(c.full))})
			c.packet[3] = byte(c.full)
		}
		p, err := decoded(packetMessage(FamilyIPv4, 1, append(attrs, attr{nfqmsg.AttrPayload,
			c.packet})...))
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(p.Payload())
		if err := p.SetBody(c.body); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !bytes.Equal(p.Payload(), before) || p.edits.Has(nfqmsg.EditPayload) {
			t.Errorf("%s: the packet became %x", c.name, p.Payload())
		}
	}
}

// TestTruncationSaysWhatHelps: each reason why a packet was not copied whole has its own remedy.
func TestTruncationSaysWhatHelps(t *testing.T) {
	hdr := attr{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookOutput)}
	for _, c := range []struct {
		attrs []attr
		want  string
	}{
		{[]attr{hdr}, "CopyPacket"},
		{[]attr{hdr, {nfqmsg.AttrCapLen, be32(1500)}, {nfqmsg.AttrPayload, udpPacket}},
			"30 of 1500 bytes were; raise the copy range"},
		{[]attr{hdr, {nfqmsg.AttrCapLen, be32(MaxPayload + 1)}, {nfqmsg.AttrPayload, udpPacket}},
			"gso_max_size"},
	} {
		p, err := decoded(packetMessage(FamilyIPv4, 1, c.attrs...))
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"SetPayload":    p.SetPayload(udpPacket),
			"SetPayloadRaw": p.SetPayloadRaw(udpPacket),
			"SetBody":       p.SetBody(nil),
		} {
			if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
	}
}

// partialUDP returns udpPacket with what the kernel has in a checksum that it has yet to
// complete: the sum of addresses, protocol and length.
func partialUDP() []byte {
	b := bytes.Clone(udpPacket)
	binary.BigEndian.PutUint16(b[26:], 0x7f00+1+0x7f00+1+17+10)
	return b
}

// TestPartialChecksums: the packet around one whose checksum is not complete cannot be replaced,
// however it was edited before.
func TestPartialChecksums(t *testing.T) {
	inner := ipv4(layers.IPProtocolTCP)
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, SYN: true}
	outer := ipv4(layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: 3, DstPort: 4789}
	if err := errors.Join(tcp.SetNetworkLayerForChecksum(inner),
		udp.SetNetworkLayerForChecksum(outer)); err != nil {
		t.Fatal(err)
	}
	overUDP := built(t, outer, udp, &layers.VXLAN{VNI: 1}, &layers.Ethernet{SrcMAC: make([]byte, 6),
		DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, inner, tcp)
	noSum := bytes.Clone(overUDP)
	noSum[26], noSum[27] = 0, 0
	for _, c := range []struct {
		name    string
		packet  []byte
		refused bool
	}{
		{"TCP", built(t, inner, tcp), false},
		{"UDP", partialUDP(), false},
		{"IP in IP", built(t, ipv4(layers.IPProtocolIPv4), inner, tcp), true},
		{"GRE", built(t, ipv4(layers.IPProtocolGRE), &layers.GRE{Protocol: layers.EthernetTypeIPv4},
			inner, tcp), true},
		{"VXLAN", overUDP, true},
		{"VXLAN without checksum", noSum, true},
	} {
		for _, info := range []SKBInfo{0, ChecksumNotReady} {
			p := queued(t, FamilyIPv4, HookOutput, info, c.packet)
			b := p.Payload()
			clear(b[len(b)-2:])
			b[1] = 4
			b[26], b[27] = 0, 0 // also what tells
			err := p.SetPayload(b)
			if refused := c.refused && info != 0; refused && !errors.Is(err,
				errors.ErrUnsupported) || !refused && err != nil {
				t.Errorf("%s, %v: %v", c.name, info, err)
			}
		}
	}
}
