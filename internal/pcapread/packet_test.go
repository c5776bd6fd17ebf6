// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// bytesOf joins hexadecimal digits, in which blanks do not count.
func bytesOf(digits ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(digits, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	ip4      = "4500001d 00010000 40110000 c0000201 c6336401 0fa00009 00090000 61" // 29 bytes of UDP
	ip6      = "60000000 00091140 20010db8000000000000000000000001 20010db8000100000000000000000001 0fa00009 00090000 61"
	macs     = "020000000002 020000000001"
	arp      = "0001 0800 0604 0001 020000000001 c0000201 000000000000 c0000202"
	sll      = "0000 0001 0006 020000000001 0000"
	sll2     = "0000 00000003 0001 00 06 020000000001 0000"
	padding  = "0000000000000000000000000000000000"
	vlan100  = "8100 2064"
	service7 = "88a8 0007"
)

// Every link type leads to the packet that the IP hooks see.
func TestIP(t *testing.T) {
	four, six, mac := bytesOf(ip4), bytesOf(ip6), bytesOf("020000000001")
	packet4 := &Packet{EtherType: etherTypeIPv4, Payload: four, Len: 29, HardwareAddr: mac}
	packet6 := &Packet{EtherType: etherTypeIPv6, Payload: six, Len: 49, HardwareAddr: mac}
	bare4 := &Packet{EtherType: etherTypeIPv4, Payload: four, Len: 29}
	bare6 := &Packet{EtherType: etherTypeIPv6, Payload: six, Len: 49}
	for _, c := range []struct {
		name string
		link layers.LinkType
		data []byte
		want *Packet // nil if it is not IP
	}{
		{"Ethernet", linkEthernet, bytesOf(macs, "0800", ip4), packet4},
		{"Ethernet, IPv6", linkEthernet, bytesOf(macs, "86dd", ip6), packet6},
		{"Ethernet, padding", linkEthernet, bytesOf(macs, "0800", ip4, padding), packet4},
		{"Ethernet, padding, IPv6", linkEthernet, bytesOf(macs, "86dd", ip6, padding), packet6},
		{"VLAN", linkEthernet, bytesOf(macs, vlan100, "0800", ip4), packet4},
		{"two VLANs", linkEthernet, bytesOf(macs, service7, vlan100, "86dd", ip6), packet6},
		{"VLAN cut", linkEthernet, bytesOf(macs, "8100 20"), nil},
		{"ARP", linkEthernet, bytesOf(macs, "0806", arp), nil},
		{"IEEE 802.3", linkEthernet, bytesOf(macs, "0026 4242 03", padding), nil},
		{"header cut", linkEthernet, bytesOf(macs, "08"), nil},
		{"nothing behind the header", linkEthernet, bytesOf(macs, "0800"), nil},
		{"not the version of its type", linkEthernet, bytesOf(macs, "0800", ip6), nil},
		{"raw", linkRaw, four, bare4},
		{"raw, IPv6", linkRaw, six, bare6},
		{"raw of a BSD", linkRawBSD, six, bare6},
		{"raw of OpenBSD", linkRawOpen, four, bare4},
		{"raw, empty", linkRaw, nil, nil},
		{"raw, neither", linkRaw, bytesOf("1234"), nil},
		{"IPv4", linkIPv4, four, bare4},
		{"IPv6", linkIPv6, six, bare6},
		{"cooked", linkSLL, bytesOf(sll, "0800", ip4), packet4},
		{"cooked, IPv6", linkSLL, bytesOf(sll, "86dd", ip6), packet6},
		{"cooked, VLAN", linkSLL, bytesOf(sll, vlan100, "0800", ip4), packet4},
		{"cooked, no address", linkSLL, bytesOf("0000 0304 0000 0000000000000000 0800", ip4), bare4},
		{"cooked, address too long", linkSLL, bytesOf("0000 0304 0014 0000000000000000 0800", ip4), bare4},
		{"cooked, cut", linkSLL, bytesOf(sll, "08"), nil},
		{"cooked 2", linkSLL2, bytesOf("0800", sll2, ip4), packet4},
		{"cooked 2, IPv6", linkSLL2, bytesOf("86dd", sll2, ip6), packet6},
		{"cooked 2, ARP", linkSLL2, bytesOf("0806", sll2, arp), nil},
		{"cooked 2, cut", linkSLL2, bytesOf("0800 0000"), nil},
		{"null", linkNull, bytesOf("02000000", ip4), bare4},
		{"null, the other byte order", linkNull, bytesOf("00000002", ip4), bare4},
		{"null of Linux", linkNull, bytesOf("0a000000", ip6), bare6},
		{"null of macOS", linkNull, bytesOf("1e000000", ip6), bare6},
		{"null of FreeBSD", linkNull, bytesOf("0000001c", ip6), bare6},
		{"null, another family", linkNull, bytesOf("07000000", ip4), nil},
		{"null, cut", linkNull, bytesOf("0200"), nil},
		{"loop", linkLoop, bytesOf("00000018", ip6), bare6},
	} {
		f := Frame{Number: 1, LinkType: c.link, Data: c.data, Len: len(c.data)}
		got, ok, err := f.IP()
		if err != nil || ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %+v, %v, %v", c.name, got, ok, err)
		}
	}
}

// A capture that is cut has the length that the packet had.
func TestIPCut(t *testing.T) {
	whole := bytesOf(macs, "0800", ip4, padding)
	for n := range len(whole) + 1 {
		f := Frame{LinkType: linkEthernet, Data: whole[:n], Len: len(whole)}
		p, ok, err := f.IP()
		if err != nil || ok != (n > 14) {
			t.Errorf("%d bytes: %v, %v", n, ok, err)
		}
		want := 29
		if n < 14+20 { // the total length cannot be read
			want = len(whole) - 14
		}
		if ok && (p.Len != want || !bytes.Equal(p.Payload, whole[14:min(n, 14+29)])) {
			t.Errorf("%d bytes: %d of %d", n, len(p.Payload), p.Len)
		}
	}
}

func TestBridged(t *testing.T) {
	mac := bytesOf("020000000001")
	for _, c := range []struct {
		name string
		link layers.LinkType
		data []byte
		want *Packet
	}{
		{"padding stays", linkEthernet, bytesOf(macs, "0800", ip4, padding), &Packet{
			EtherType: etherTypeIPv4, Payload: bytesOf(ip4, padding), Len: 46, HardwareAddr: mac, LinkHeader: bytesOf(macs, "0800")}},
		{"VLAN", linkEthernet, bytesOf(macs, vlan100, "0800", ip4), &Packet{
			EtherType: etherTypeIPv4, Payload: bytesOf(ip4), Len: 29, HardwareAddr: mac, LinkHeader: bytesOf(macs, "0800"), Tag: Tag{0x2064, 0x8100}}},
		{"two VLANs", linkEthernet, bytesOf(macs, service7, vlan100, "0800", ip4), &Packet{
			EtherType: 0x8100, Payload: bytesOf("2064 0800", ip4), Len: 33, HardwareAddr: mac, LinkHeader: bytesOf(macs, "8100"), Tag: Tag{7, 0x88a8}}},
		{"ARP", linkEthernet, bytesOf(macs, "0806", arp), &Packet{
			EtherType: 0x0806, Payload: bytesOf(arp), Len: 28, HardwareAddr: mac, LinkHeader: bytesOf(macs, "0806")}},
		{"VLAN cut", linkEthernet, bytesOf(macs, "8100 20"), nil},
		{"cut", linkEthernet, bytesOf(macs), nil},
		{"cooked", linkSLL, bytesOf(sll, "0800", ip4), nil},
		{"raw", linkRaw, bytesOf(ip4), nil},
	} {
		f := Frame{Number: 1, LinkType: c.link, Data: c.data, Len: len(c.data)}
		got, ok, err := f.Bridged()
		if err != nil || ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %+v, %v, %v", c.name, got, ok, err)
		}
	}
}

func TestUnknownLinkType(t *testing.T) {
	for link, word := range map[layers.LinkType]string{105: "packet 9: the link type 105", 147: "packet 9: the link type 147 is", 300: "packet 9: the link type 300 is"} {
		f := Frame{Number: 9, LinkType: link, Data: bytesOf(ip4), Len: 29}
		if _, _, err := f.IP(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("IP: %v", err)
		}
		if _, _, err := f.Bridged(); err == nil {
			t.Error("Bridged: no error")
		}
	}
}

// Nothing that a file says makes the reader panic, and what it finds lies in the frame.
func FuzzRead(f *testing.F) {
	frame := bytesOf(macs, vlan100, "0800", ip4, padding)
	f.Add(pcap(le, magicMicroseconds, 1, 5, frame, frame[:20]))
	f.Add(pcap(be, magicNanoseconds, 276, 0, bytesOf("0800", sll2, ip4)))
	f.Add(pcap(be, magicNanoseconds, 0, 0, bytesOf("1e000000", ip6)))
	f.Fuzz(func(t *testing.T, file []byte) {
		frames, _ := readAll(file)
		for _, fr := range frames {
			for _, as := range []func() (Packet, bool, error){fr.IP, fr.Bridged} {
				if p, ok, err := as(); ok && (err != nil || len(p.Payload) > p.Len || len(p.Payload) > len(fr.Data)) {
					t.Errorf("%+v of %+v, %v", p, fr, err)
				}
			}
		}
	})
}
