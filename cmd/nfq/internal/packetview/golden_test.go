// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/layerbuild"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var update = flag.Bool("update", false, "write what is printed to the golden files")

var (
	a4, b4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a6, b6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

func udp(src, dst netip.Addr, port uint16, body []byte) []byte {
	return nfqueuetest.UDP(netip.AddrPortFrom(src, 40000), netip.AddrPortFrom(dst, port), body)
}

func tcpSegment(port uint16, header layers.TCP, body string) []byte {
	header.SrcPort, header.DstPort = 40000, layers.TCPPort(port)
	if header.Window == 0 {
		header.Window = 65535
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: a4.AsSlice(),
		DstIP: b4.AsSlice()}
	return layerbuild.Build(ip, &header, gopacket.Payload(body))
}

func dnsMessage(m layers.DNS) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := m.SerializeTo(b, gopacket.SerializeOptions{FixLengths: true}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func ip4(protocol layers.IPProtocol, stack ...gopacket.SerializableLayer) []byte {
	h := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: 4711, Protocol: protocol, SrcIP: a4.AsSlice(),
		DstIP: b4.AsSlice()}
	return layerbuild.Build(append([]gopacket.SerializableLayer{h}, stack...)...)
}

func ip6(protocol layers.IPProtocol, stack ...gopacket.SerializableLayer) []byte {
	h := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: protocol, SrcIP: a6.AsSlice(),
		DstIP: b6.AsSlice()}
	return layerbuild.Build(append([]gopacket.SerializableLayer{h}, stack...)...)
}

// clientHello is one of TLS 1.3 with an extension before the name, and one behind it.
func clientHello(name string) string {
	entry := "\x00" + length16(name)
	extensions := "\x00\x2b" + length16("\x02\x03\x04") + "\x00\x00" + length16(length16(entry)) +
		"\xff\x01" + length16("\x00")
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x20" + strings.Repeat("s", 32) +
		length16("\x13\x01\x13\x02") + "\x01\x00" + length16(extensions)
	handshake := "\x01\x00" + length16(body)
	return "\x16\x03\x01" + length16(handshake)
}

// quicHello is the datagram of RFC 9001 appendix A.2.
func quicHello() []byte {
	text, err := os.ReadFile("../../../../inspect/quicinitial/testdata/rfc9001.hex")
	if err != nil {
		panic(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func length16(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// sample is a packet and what it shows.
type sample struct {
	name string
	r    Record
}

func samples() []sample {
	question := []layers.DNSQuestion{{Name: []byte("example.com"), Type: layers.DNSTypeA,
		Class: layers.DNSClassIN}}
	query := dnsMessage(layers.DNS{ID: 4660, RD: true, QDCount: 1, Questions: question})
	answer := dnsMessage(layers.DNS{ID: 4660, QR: true, RD: true, RA: true, QDCount: 1, ANCount: 2,
		Questions: question,
		Answers: []layers.DNSResourceRecord{
			{Name: []byte("example.com"), Type: layers.DNSTypeCNAME, Class: layers.DNSClassIN, TTL: 60,
				CNAME: []byte("www.example.com")},
			{Name: []byte("www.example.com"), Type: layers.DNSTypeA, Class: layers.DNSClassIN, TTL: 60,
				IP: net.IPv4(192, 0, 2, 80)},
		}})
	refused := dnsMessage(layers.DNS{ID: 1, QR: true, ResponseCode: layers.DNSResponseCodeNXDomain,
		QDCount: 1, Questions: question})
	evil := dnsMessage(layers.DNS{ID: 1, QDCount: 1, Questions: []layers.DNSQuestion{
		{Name: []byte("\x1b[31m\n"), Type: layers.DNSTypeTXT, Class: layers.DNSClassIN}}})
	hello := clientHello("www.example.com")
	unreachable := gopacket.Payload(udp(b4, a4, 53, query))
	fragment := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: 7, Protocol: layers.IPProtocolUDP,
		SrcIP: a4.AsSlice(), DstIP: b4.AsSlice()}
	first := *fragment
	first.Flags = layers.IPv4MoreFragments
	fragment.FragOffset = 185

	packet := func(name string, data []byte) sample {
		return sample{name, Record{Data: data, Length: len(data), Hook: nfqueue.HookOutput, Out: "eth0",
			Verdict: nfqueue.Accept,
			Family:  nfqueue.FamilyIPv4, EtherType: 0x0800}}
	}
	list := []sample{
		packet("udp", udp(a4, b4, 9, []byte("hello"))),
		packet("udp over IPv6", udp(a6, b6, 9, nil)),
		packet("dns query", udp(a4, b4, 53, query)),
		packet("dns answer", nfqueuetest.UDP(netip.AddrPortFrom(b4, 53), netip.AddrPortFrom(a4, 40000),
			answer)),
		packet("dns refusal", udp(a4, b4, 53, refused)),
		packet("dns name with escape sequences", udp(a4, b4, 53, evil)),
		packet("not dns", udp(a4, b4, 53, []byte("nonsense"))),
		packet("dns over tcp", tcpSegment(53, layers.TCP{ACK: true, PSH: true, Window: 502},
			length16(string(query)))),
		packet("tcp syn", tcpSegment(443, layers.TCP{SYN: true, Seq: 100, Window: 64240,
			Options: []layers.TCPOption{
				{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{0x05, 0xb4}}}}, "")),
		packet("tcp flags", tcpSegment(443, layers.TCP{FIN: true, RST: true, PSH: true, ACK: true,
			URG: true, ECE: true, CWR: true, Seq: 1, Ack: 2}, "")),
		packet("tcp without flags", tcpSegment(443, layers.TCP{Seq: 1}, "")),
		packet("tcp sequence wraps", tcpSegment(9, layers.TCP{ACK: true, Seq: 0xffffffff, Window: 1},
			"abc")),
		packet("tls client hello", tcpSegment(443, layers.TCP{ACK: true, PSH: true, Seq: 1, Ack: 1,
			Window: 502}, hello)),
		packet("tls client hello, cut behind the name",
			tcpSegment(443, layers.TCP{ACK: true, Seq: 1, Ack: 1}, hello[:len(hello)-3])),
		packet("tls client hello, cut in the name", tcpSegment(443, layers.TCP{ACK: true, Seq: 1, Ack: 1},
			hello[:len(hello)-8])),
		packet("tls server hello", tcpSegment(443, layers.TCP{ACK: true},
			"\x16\x03\x03\x00\x04\x02\x00\x00\x00")),
		packet("http request", tcpSegment(8080, layers.TCP{ACK: true, PSH: true},
			"GET /index.html HTTP/1.1\r\nHost: example.com\r\n\r\n")),
		packet("http status", tcpSegment(8080, layers.TCP{ACK: true, PSH: true},
			"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n")),
		packet("http with an endless line", tcpSegment(8080, layers.TCP{ACK: true},
			"GET /"+strings.Repeat("a", 1000))),
		packet("not http", tcpSegment(8080, layers.TCP{ACK: true}, "GET lost\r\n")),
		packet("icmp echo request", nfqueuetest.Echo(a4, b4, 7, 1, []byte("ping"))),
		packet("icmp6 echo request", nfqueuetest.Echo(a6, b6, 7, 2, []byte("ping"))),
		packet("icmp port unreachable", ip4(layers.IPProtocolICMPv4,
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}, unreachable)),
		packet("icmp timestamp", ip4(layers.IPProtocolICMPv4,
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(13, 0)})),
		packet("icmp6 neighbour solicitation", ip6(layers.IPProtocolICMPv6,
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(135, 0)},
			gopacket.Payload(append(make([]byte, 4), b6.AsSlice()...)))),
		packet("first fragment", layerbuild.Build(&first,
			gopacket.Payload(udp(a4, b4, 9, make([]byte, 80))[20:]))),
		packet("later fragment", layerbuild.Build(fragment, gopacket.Payload("rest"))),
		packet("sctp", ip4(layers.IPProtocolSCTP, &layers.SCTP{SrcPort: 1, DstPort: 2})),
		packet("esp", ip4(layers.IPProtocolESP, gopacket.Payload("12345678"))),
		packet("unknown protocol", ip4(253, gopacket.Payload("x"))),
		packet("header cut", udp(a4, b4, 9, nil)[:10]),
		packet("udp header cut", udp(a4, b4, 9, nil)[:22]),
		packet("tls client hello in two records", tcpSegment(443, layers.TCP{ACK: true},
			"\x16\x03\x01"+length16(hello[5:len(hello)-15])+"\x16\x03\x01"+length16(hello[len(hello)-15:]))),
		packet("tls client hello, a length too long",
			tcpSegment(443, layers.TCP{ACK: true}, hello[:len(hello)-21]+"\x7f"+hello[len(hello)-20:])),
		packet("quic client hello", udp(a4, b4, 443, quicHello())),
		packet("smtp", tcpSegment(25, layers.TCP{ACK: true}, "EHLO client")),
		packet("dns over tcp, cut", tcpSegment(53, layers.TCP{ACK: true}, length16(string(query))[:20])),
		packet("nothing copied", nil),
		packet("not ip", []byte{0x10}),
	}
	for i := range list {
		list[i].r.Time = time.Date(2026, 1, 2, 15, 4, 5, 123456789+i, time.UTC)
		list[i].r.ID = uint32(i + 1)
		if d := list[i].r.Data; len(d) > 0 && d[0]>>4 == 6 {
			list[i].r.Family, list[i].r.EtherType = nfqueue.FamilyIPv6, 0x86dd
		}
	}
	queued, unqueued := packet("from a file", udp(a4, b4, 9, nil)),
		packet("from a file, not queued, without time", udp(a4, b4, 9, nil))
	queued.r.Time, queued.r.Number, queued.r.Took = list[0].r.Time, 7, 1500*time.Nanosecond
	unqueued.r.Number, unqueued.r.Unqueued = 8, true
	hidden := sample{"from a file, behind an unknown link header",
		Record{Number: 9, Unqueued: true, Length: 60,
			Hook: nfqueue.HookForward, In: "usb0", LinkType: "189 (LinuxUSB)"}}
	other := sample{"from a file, not IP, with a first byte like that of IPv4",
		Record{Number: 10, Unqueued: true, Data: udp(a4, b4, 9, nil), Length: 28,
			Hook: nfqueue.HookForward, EtherType: 0x88ca}}
	return append(list, told(), queued, unqueued, hidden, other)
}

// told is a packet of which the kernel has told everything.
func told() sample {
	mark := uint32(0x2a)
	data := udp(a4, b4, 9, []byte("hello"))
	return sample{"everything", Record{
		Time: time.Date(2026, 1, 2, 15, 4, 6, 1, time.UTC), Queue: 3, ID: 99, Verdict: nfqueue.Drop,
		SetMark: &mark, Missed: 12,
		Family: nfqueue.FamilyBridge, Hook: nfqueue.HookForward, EtherType: 0x0800,
		In: "br0", Out: "br0", PhysIn: "port1", PhysOut: "port2", Mark: 1, Priority: 6,
		HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Owner: &Owner{1000, 100},
		CgroupClassID:   0x10001,
		SecurityContext: []byte("unlabeled"), SKBInfo: nfqueue.ChecksumNotReady | nfqueue.SegmentationPending,
		VLAN:       &nfqueue.VLAN{TCI: 0x6064, Protocol: 0x8100},
		LinkHeader: []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0},
		Conntrack: &Conntrack{State: "established-reply", ID: 0xabcd, Status: "confirmed",
			Protocol: "ESTABLISHED", Mark: 5, Zone: 2, Labels: "01",
			Timeout: "30s", Helper: "ftp", SecCtx: "ctx", Original: "udp a > b", Reply: "udp b > a",
			Master: "tcp c > d", Counters: "1 packets"},
		Data: data[:30], Length: len(data),
	}}
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		file  string
		print func(b []byte, r *Record) []byte
	}{
		{"lines.txt", (&Printer{}).Append},
		{"verbose.txt", (&Printer{Verbose: true, Hex: true}).Append},
		{"colour.txt", func(b []byte, r *Record) []byte {
			return fmt.Appendf(b, "%q\n", (&Printer{Colour: true}).Append(nil, r))
		}},
		{"objects.json", func(b []byte, r *Record) []byte { return AppendJSON(b, r, true) }},
	} {
		t.Run(test.file, func(t *testing.T) {
			var got []byte
			for _, s := range samples() {
				if !strings.HasSuffix(test.file, ".json") {
					got = fmt.Appendf(got, "# %s\n", s.name)
				}
				got = test.print(got, &s.r)
			}
			path := "testdata/" + test.file
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
			for i := range max(len(gotLines), len(wantLines)) {
				if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
					t.Fatalf("%s:%d: differs from\n%s", path, i+1,
						strings.Join(gotLines[min(i, len(gotLines)):min(i+3, len(gotLines))], "\n"))
				}
			}
		})
	}
}
