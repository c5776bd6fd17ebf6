// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestFlow(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)}, attr{nfqmsg.AttrPayload, udpPacket}))
	if err != nil {
		t.Fatal(err)
	}
	lo := netip.MustParseAddr("127.0.0.1")
	want := Flow{Src: lo, Dst: lo, SrcPort: 12345, DstPort: 4000, Protocol: 17}
	f, ok := p.Flow()
	if f != want || !ok || !f.HasPorts() || f.Reverse().DstPort != 12345 ||
		f.Hash() != f.Reverse().Hash() {
		t.Errorf("flow %+v, %v; want %+v", f, ok, want)
	}
	if _, ok := p.QuotedFlow(); ok {
		t.Error("a UDP datagram quotes another packet")
	}
	for what, msg := range map[string][]byte{
		"no payload": packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr,
			packetHdr(7, etherTypeIPv4, HookInput)}),
		"ARP": packetMessage(FamilyBridge, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7, 0x0806,
			HookInput)}, attr{nfqmsg.AttrPayload, udpPacket}),
	} {
		if p, err = decoded(msg); err != nil {
			t.Fatal(err)
		}
		if f, ok := p.Flow(); ok {
			t.Errorf("%s: flow %+v", what, f)
		}
	}
}

// TestTransport: header and body are parts of the payload, and what is not there says so.
func TestTransport(t *testing.T) {
	hdr := attr{nfqmsg.AttrPacketHdr, packetHdr(7, etherTypeIPv4, HookInput)}
	later := built(t, ipv4(layers.IPProtocolUDP), gopacket.Payload("piece"))
	later[7] = 2 // 16 bytes
	for _, c := range []struct {
		name   string
		family Family
		attrs  []attr
		ok     bool
		want   Transport
	}{
		{"whole", FamilyIPv4, []attr{hdr, {nfqmsg.AttrPayload, udpPacket}}, true,
			Transport{Header: udpPacket[20:28], Body: udpPacket[28:], Protocol: UDP}},
		{"cut in the body", FamilyIPv4, []attr{hdr, {nfqmsg.AttrCapLen, be32(30)},
			{nfqmsg.AttrPayload, udpPacket[:29]}}, true,
			Transport{Header: udpPacket[20:28], Body: udpPacket[28:29], Protocol: UDP, Truncated: true}},
		{"cut in the header", FamilyIPv4, []attr{hdr, {nfqmsg.AttrCapLen, be32(30)},
			{nfqmsg.AttrPayload, udpPacket[:27]}}, false,
			Transport{Protocol: UDP, Truncated: true}},
		{"no body", FamilyIPv4, []attr{hdr, {nfqmsg.AttrPayload, built(t, ipv4(layers.IPProtocolICMPv4),
			&layers.ICMPv4{})}}, true,
			Transport{Header: []byte{0, 0, 0xff, 0xff, 0, 0, 0, 0}, Protocol: ICMP}},
		{"later fragment", FamilyIPv4, []attr{hdr, {nfqmsg.AttrPayload, later}}, false,
			Transport{Body: []byte("piece"), FragmentOffset: 16, Protocol: UDP, Fragment: true}},
		{"CopyMeta", FamilyIPv4, []attr{hdr}, false, Transport{Truncated: true}},
		{"not IP", FamilyBridge, []attr{{nfqmsg.AttrPacketHdr, packetHdr(7, 0x0806, HookInput)},
			{nfqmsg.AttrPayload, udpPacket}}, false, Transport{}},
	} {
		p, err := decoded(packetMessage(c.family, 1, c.attrs...))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := p.Transport()
		if ok != c.ok || !bytes.Equal(got.Header, c.want.Header) || !bytes.Equal(got.Body,
			c.want.Body) || ok != (got.Header != nil) {
			t.Errorf("%s: %v, %+v", c.name, ok, got)
		}
		got.Header, got.Body, c.want.Header, c.want.Body = nil, nil, nil, nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestTransportInPlace: what is changed in Header and Body is changed in the payload, and an
// append to Header does not reach Body.
func TestTransportInPlace(t *testing.T) {
	p := queued(t, FamilyIPv4, HookOutput, 0, udpPacket)
	tr, _ := p.Transport()
	copy(tr.Body, "HI")
	tr.Header[1]++
	_ = append(tr.Header, "!!"...)
	if err := p.SetPayload(p.Payload()); err != nil {
		t.Fatal(err)
	}
	tr, _ = p.Transport()
	if f := flowOf(p); string(tr.Body) != "HI" || f.SrcPort != 12346 {
		t.Errorf("body %q, %+v", tr.Body, f)
	}
}
