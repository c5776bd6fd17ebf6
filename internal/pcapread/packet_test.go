// SPDX-License-Identifier: GPL-2.0-or-later

package pcapread

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
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
	// UDP, 29 and 49 bytes
	ip4 = "4500001d 00010000 40110000 c0000201 c6336401 0fa00009 00090000 61"
	ip6 = "60000000 00091140 20010db8000000000000000000000001 20010db8000100000000000000000001" +
		"0fa00009 00090000 61"

	macs     = "020000000002 020000000001"
	arp      = "0001 0800 0604 0001 020000000001 c0000201 000000000000 c0000202"
	sll      = "0000 0001 0006 020000000001 0000"
	sll2     = "0000 00000003 0001 00 06 020000000001 0000"
	padding  = "0000000000000000000000000000000000"
	wifi     = "0801 0000 020000000002 020000000001 020000000003 0000" // to the access point
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
		link LinkType
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
		{"cooked, no address", linkSLL,
			bytesOf("0000 0304 0000 0000000000000000 0800", ip4), bare4},
		{"cooked, address too long", linkSLL,
			bytesOf("0000 0304 0014 0000000000000000 0800", ip4), bare4},
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
		{"PPP", linkPPP, bytesOf("ff03 0021", ip4), bare4},
		{"PPP, IPv6, without address", linkPPP, bytesOf("0057", ip6), bare6},
		{"PPP, one byte of protocol", linkPPP, bytesOf("21", ip4), bare4},
		{"PPP, MPLS", linkPPPHDLC, bytesOf("ff03 0281 00064140", ip6), bare6},
		{"PPP, LCP", linkPPP, bytesOf("ff03 c021", ip4), nil},
		{"PPP, cut", linkPPP, bytesOf("ff03 00"), nil},
		{"PPP over HDLC, of Cisco", linkPPPHDLC, bytesOf("0f00 0800", ip4), bare4},
		{"PPPoE without Ethernet", linkPPPoE, bytesOf("1100 0007 001f 0021", ip4), bare4},
		{"Cisco HDLC", linkCHDLC, bytesOf("0f00 86dd", ip6), bare6},
		{"Frame Relay", linkRelay, bytesOf("1841 03 cc", ip4), bare4},
		{"Frame Relay, padding, IPv6", linkRelay, bytesOf("1841 03 00 8e", ip6), bare6},
		{"Frame Relay, SNAP", linkRelay, bytesOf("1841 03 00 80 000000 0800", ip4), bare4},
		{"Frame Relay of Cisco, long address", linkRelay, bytesOf("18a0 41 0800", ip4), bare4},
		{"Frame Relay, another protocol", linkRelay, bytesOf("1841 03 81", ip4), nil},
		{"Frame Relay, cut", linkRelay, bytesOf("1840"), nil},
		{"Frame Relay, SNAP cut", linkRelay, bytesOf("1841 03 80 0000"), nil},
		{"FDDI", linkFDDI, bytesOf("50", macs, "aaaa03 000000 0800", ip4), packet4},
		{"token ring", linkToken, bytesOf("1040", macs, "aaaa03 000000 86dd", ip6), packet6},
		{"token ring, route", linkToken,
			bytesOf("1040 020000000002 820000000001 0670 0012 0020 aaaa03 000000 0800", ip4), packet4},
		{"token ring, route cut", linkToken, bytesOf("1040 020000000002 820000000001 06"), nil},
		{"IEEE 802.11", linkWireless, bytesOf(wifi, "aaaa03 000000 0800", ip4), bare4},
		{"IEEE 802.11, QoS, HT control", linkWireless,
			bytesOf("8881", wifi[4:], "0000 00000000 aaaa03 000000 86dd", ip6), bare6},
		{"IEEE 802.11, four addresses", linkWireless,
			bytesOf("0803", wifi[4:], "020000000004 aaaa03 000000 0800", ip4), bare4},
		{"IEEE 802.11, encrypted", linkWireless,
			bytesOf("0841", wifi[4:], "aaaa03 000000 0800", ip4), nil},
		{"IEEE 802.11, beacon", linkWireless,
			bytesOf("8000", wifi[4:], "aaaa03 000000 0800", ip4), nil},
		{"IEEE 802.11, no data", linkWireless, bytesOf("4800", wifi[4:]), nil},
		{"radiotap", linkRadiotap,
			bytesOf("0000 0800 00000000", wifi, "aaaa03 000000 0800", ip4), bare4},
		{"radiotap, padding", linkRadiotap,
			bytesOf("0000 1900 03000080 00000000 00000000", strings.Repeat("00", 8), "20",
				"8801", wifi[4:], "0000 0000 aaaa03 000000 0800", ip4), bare4},
		{"radiotap, cut", linkRadiotap, bytesOf("0000 0900 00000000"), nil},
		{"ARCnet, RFC 1051", linkARCnet, bytesOf("0102 f0", ip4), bare4},
		{"ARCnet of Linux, RFC 1201", linkARCnetLx, bytesOf("0102 0000 d4 00 0001", ip4), bare4},
		{"ARCnet of Linux, a part", linkARCnetLx, bytesOf("0102 0000 d4 01 0001", ip4), nil},
		{"ARCnet of Linux, cut", linkARCnetLx, bytesOf("0102 0000 d4 00"), nil},
		{"InfiniBand", linkIPoIB, append(make([]byte, 40), bytesOf("0800 0000", ip4)...), bare4},
		{"IPNET", linkIPNET, bytesOf("011a", strings.Repeat("00", 22), ip6), bare6},
		{"NFLOG", linkNFLOG, bytesOf("0200 0000 0500 0a00 00000000 2100 0900", ip4), bare4},
		{"NFLOG, big endian", linkNFLOG,
			bytesOf("0a00 0000 0008 0001 00000000 0035 0009", ip6), bare6},
		{"NFLOG without packet", linkNFLOG, bytesOf("0200 0000 0800 0100 00000000"), nil},
		{"PKTAP", linkPKTAP,
			bytesOf("10000000 01000000 01000000 00000000", macs, "0800", ip4), packet4},
		{"PKTAP around what is not known", linkPKTAP,
			bytesOf("0c000000 01000000 93000000", macs, "0800", ip4), nil},
		{"PKTAP, cut", linkPKTAP, bytesOf("0d000000 01000000 01000000"), nil},
		{"PPI", linkPPI, bytesOf("0000 0c00 01000000 00000000", macs, "0800", ip4), packet4},
		{"PPI, around itself", linkPPI, bytesOf("0000 0000 c0000000"), nil},
		{"PPI, cut", linkPPI, bytesOf("0000 0900 01000000"), nil},
		{"MPLS", linkEthernet, bytesOf(macs, "8847 00064040 00064140", ip4), packet4},
		{"MPLS to many", linkEthernet, bytesOf(macs, "8848 00064140", ip6), packet6},
		{"MPLS, cut", linkEthernet, bytesOf(macs, "8847 00064040"), nil},
		{"PPPoE", linkEthernet, bytesOf(macs, vlan100, "8864 1100 0007 001f 0021", ip4), packet4},
		{"PPPoE discovery", linkEthernet, bytesOf(macs, "8863 1109 0000 0000", ip4), nil},
		{"PPPoE, another code", linkEthernet, bytesOf(macs, "8864 1109 0000 0000 0021", ip4), nil},
		{"SNAP", linkEthernet, bytesOf(macs, "0025 aaaa03 000000 0800", ip4), packet4},
		{"LLC", linkEthernet, bytesOf(macs, "0020 060603", ip4), packet4},
		{"cooked, SNAP", linkSLL,
			bytesOf("0000 0001 0006 020000000001 0000 0004 aaaa03 000000 0800", ip4), packet4},
		{"MACsec", linkEthernet,
			bytesOf(macs, "88e5 2022 00000042 020000000001 0001 0800", ip4, padding), packet4},
		{"MACsec without channel", linkEthernet,
			bytesOf(macs, "88e5 0022 00000042 0800", ip4), packet4},
		{"MACsec, encrypted", linkEthernet, bytesOf(macs, "88e5 0c22 00000042 0800", ip4), nil},
		{"NSH", linkEthernet,
			bytesOf(macs, "894f 0006 0101 00000307", strings.Repeat("00", 16), ip4), packet4},
		{"NSH, too short", linkEthernet, bytesOf(macs, "894f 0001 0101 00000307", ip4), nil},
		{"time stamp of Arista", linkEthernet,
			bytesOf(macs, "d28b 0001 0120 000000000000 0800", ip4), packet4},
		{"long time stamp of Arista", linkEthernet,
			bytesOf(macs, "d28b 0001 0110 0000000000000000 86dd", ip6), packet6},
	} {
		f := Frame{Number: 1, LinkType: c.link, Data: c.data, Len: len(c.data)}
		got, ok := f.IP()
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// A capture that is cut has the length that the packet had.
func TestIPCut(t *testing.T) {
	whole := bytesOf(macs, "0800", ip4, padding)
	for n := range len(whole) + 1 {
		f := Frame{LinkType: linkEthernet, Data: whole[:n], Len: len(whole)}
		p, ok := f.IP()
		if ok != (n > 14) {
			t.Errorf("%d bytes: %v", n, ok)
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
		link LinkType
		data []byte
		want *Packet
	}{
		{"padding stays", linkEthernet, bytesOf(macs, "0800", ip4, padding), &Packet{
			EtherType: etherTypeIPv4, Payload: bytesOf(ip4, padding), Len: 46,
			HardwareAddr: mac, LinkHeader: bytesOf(macs, "0800")}},
		{"VLAN", linkEthernet, bytesOf(macs, vlan100, "0800", ip4), &Packet{
			EtherType: etherTypeIPv4, Payload: bytesOf(ip4), Len: 29,
			HardwareAddr: mac, LinkHeader: bytesOf(macs, "0800"), Tag: Tag{0x2064, 0x8100}}},
		{"two VLANs", linkEthernet, bytesOf(macs, service7, vlan100, "0800", ip4), &Packet{
			EtherType: 0x8100, Payload: bytesOf("2064 0800", ip4), Len: 33,
			HardwareAddr: mac, LinkHeader: bytesOf(macs, "8100"), Tag: Tag{7, 0x88a8}}},
		{"ARP", linkEthernet, bytesOf(macs, "0806", arp), &Packet{
			EtherType: 0x0806, Payload: bytesOf(arp), Len: 28,
			HardwareAddr: mac, LinkHeader: bytesOf(macs, "0806")}},
		{"VLAN cut", linkEthernet, bytesOf(macs, "8100 20"), nil},
		{"cut", linkEthernet, bytesOf(macs), nil},
		{"cooked", linkSLL, bytesOf(sll, "0800", ip4), nil},
		{"raw", linkRaw, bytesOf(ip4), nil},
	} {
		f := Frame{Number: 1, LinkType: c.link, Data: c.data, Len: len(c.data)}
		got, ok := f.Bridged()
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// Without a link type that is known, no packet is found.
func TestUnknownLinkType(t *testing.T) {
	for _, link := range []LinkType{2, 147, 300} {
		f := Frame{Number: 9, LinkType: link, Data: bytesOf(ip4), Len: 29}
		if _, ok := f.IP(); ok || f.Known() {
			t.Errorf("link type %d: %v, known: %v", link, ok, f.Known())
		}
		if _, ok := f.Bridged(); ok {
			t.Errorf("link type %d is Ethernet", link)
		}
	}
}

// Nothing that a file says makes the reader panic, and what it finds lies in the frame.
func FuzzRead(f *testing.F) {
	frame := bytesOf(macs, vlan100, "0800", ip4, padding)
	f.Add(pcap(le, magicMicroseconds, 1, 5, frame, frame[:20]))
	f.Add(pcap(be, magicNanoseconds, 276, 0, bytesOf("0800", sll2, ip4)))
	f.Add(pcap(be, magicNanoseconds, 0, 0, bytesOf("1e000000", ip6)))
	f.Add(pcap(be, magicModified, 9, 0, bytesOf("00000001 0800 00 00 ff03 0281 00064140", ip6)))
	f.Add(pcap(le, magicMicroseconds, 127, 0,
		bytesOf("0000 0800 00000000", wifi, "aaaa03 000000 0800", ip4)))
	f.Add(pcap(le, magicMicroseconds, 258, 0,
		bytesOf("10000000 01000000 01000000 00000000", macs, "8864 1100 0007 001f 0021", ip4)))
	f.Add(pcap(le, magicMicroseconds, 239, 0,
		bytesOf("0200 0000 0500 0a00 00000000 2100 0900", ip4)))
	f.Add(bytes.Join([][]byte{
		section(be), describe(be, 1, 0, option(be, optionTimeUnits, 0x89)), simple(be, 90, frame),
	}, nil))
	f.Add(bytes.Join([][]byte{
		section(le), describe(le, 107, 0), enhanced(le, 0, 1, 33, 33, bytesOf("1841 03 cc", ip4)),
	}, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		frames, _ := readAll(file)
		for _, fr := range frames {
			for _, as := range []func() (Packet, bool){fr.IP, fr.Bridged} {
				if p, ok := as(); ok && (len(p.Payload) > p.Len || len(p.Payload) > len(fr.Data)) {
					t.Errorf("%+v of %+v", p, fr)
				}
			}
		}
	})
}
