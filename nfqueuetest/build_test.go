// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	client4  = netip.MustParseAddrPort("192.0.2.1:4000")
	server4  = netip.MustParseAddrPort("198.51.100.53:53")
	client6  = netip.MustParseAddrPort("[2001:db8::1]:4000")
	discard4 = netip.MustParseAddrPort("198.51.100.53:9")
	discard6 = netip.MustParseAddrPort("[2001:db8:1::53]:9")
	server6  = netip.MustParseAddrPort("[2001:db8:1::53]:53")
)

func packets() map[string][]byte {
	syn := nfqueuetest.TCPHeader{Flags: nfqueuetest.SYN, Seq: 7,
		Options: []byte{2, 4, 5, 180, 1}} // maximum segment size
	query4 := nfqueuetest.DNSQuery(client4, server4, 77, "www.example.org", nfqueuetest.DNSTypeA)
	query6 := nfqueuetest.DNSQuery(client6, server6, 78, "www.example.org", nfqueuetest.DNSTypeAAAA)
	return map[string][]byte{
		"UDP4": nfqueuetest.UDP(client4, discard4, []byte("body")),
		"UDP6": nfqueuetest.UDP(client6, discard6, []byte("odd")),
		"options": nfqueuetest.IP(client6.Addr(), server6.Addr(), 60,
			append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, nfqueuetest.UDP(client6, discard6,
				[]byte("body"))[40:]...)),
		"UDP empty": nfqueuetest.UDP(client4, discard4, nil),
		"TCP4": nfqueuetest.TCP(client4, server4,
			nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK | nfqueuetest.PSH}, []byte("body")),
		"TCP6":        nfqueuetest.TCP(client6, server6, syn, nil),
		"Echo4":       nfqueuetest.Echo(client4.Addr(), server4.Addr(), 1, 2, []byte("body")),
		"Echo6":       nfqueuetest.Echo(client6.Addr(), server6.Addr(), 1, 2, []byte("body")),
		"DNS query 4": query4,
		"DNS query 6": query6,
		"DNS response 4": nfqueuetest.DNSResponse(query4, netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("203.0.113.2")),
		"DNS response 6": nfqueuetest.DNSResponse(query6, netip.MustParseAddr("2001:db8::80")),
		"DNS no name":    nfqueuetest.DNSResponse(query4),
	}
}

// A second implementation of the protocols finds nothing wrong with lengths and checksums.
func TestPacketsAreComplete(t *testing.T) {
	for name, b := range packets() {
		first := layers.LayerTypeIPv4
		if b[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
		p := gopacket.NewPacket(b, first, gopacket.Default)
		if e := p.ErrorLayer(); e != nil || p.Metadata().Truncated {
			t.Errorf("%s: %v", name, e)
			continue
		}
		for _, l := range p.Layers() {
			if l, ok := l.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok {
				if err := l.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) != 0 {
			t.Errorf("%s: wrong checksums %v, %v", name, wrong, err)
		}
		n := len(b)
		switch ip := p.NetworkLayer().(type) {
		case *layers.IPv4:
			n = int(ip.Length)
		case *layers.IPv6:
			n = 40 + int(ip.Length)
		}
		if n != len(b) {
			t.Errorf("%s: length %d of %d", name, n, len(b))
		}
	}
}

func TestPacketContents(t *testing.T) {
	p := packets()
	flow, err := ippkt.FlowOf(p["TCP6"])
	if err != nil || flow.Src != client6.Addr() || flow.DstPort != 53 || flow.SrcPort != 4000 ||
		flow.Protocol != 6 {
		t.Errorf("%+v, %v", flow, err)
	}
	tcp := gopacket.NewPacket(p["TCP6"], layers.LayerTypeIPv6,
		gopacket.Default).TransportLayer().(*layers.TCP)
	if !tcp.SYN || tcp.ACK || tcp.Seq != 7 || tcp.Window != 65535 || len(tcp.Options) == 0 {
		t.Errorf("%+v", tcp)
	}
	if !bytes.HasSuffix(p["UDP4"], []byte("body")) || !bytes.HasSuffix(p["Echo6"], []byte("body")) {
		t.Error("no body")
	}
	response := gopacket.NewPacket(p["DNS response 4"], layers.LayerTypeIPv4, gopacket.Default)
	dns := response.ApplicationLayer().(*layers.DNS)
	if !dns.QR || dns.ID != 77 || len(dns.Answers) != 2 ||
		dns.Answers[1].IP.String() != "203.0.113.2" ||
		string(dns.Questions[0].Name) != "www.example.org" {
		t.Errorf("%+v", dns)
	}
	if flow, _ := ippkt.FlowOf(p["DNS response 4"]); flow.Src != server4.Addr() ||
		flow.DstPort != 4000 {
		t.Errorf("%+v", flow)
	}
	dns = gopacket.NewPacket(p["DNS no name"], layers.LayerTypeIPv4,
		gopacket.Default).ApplicationLayer().(*layers.DNS)
	if dns.ResponseCode != layers.DNSResponseCodeNXDomain {
		t.Errorf("%+v", dns)
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, build := range map[string]func(){
		"long options":   func() { nfqueuetest.TCP(client4, server4, nfqueuetest.TCPHeader{Options: make([]byte, 41)}, nil) },
		"not a name":     func() { nfqueuetest.DNSQuery(client4, server4, 1, strings.Repeat("x", 64), nfqueuetest.DNSTypeA) },
		"two families":   func() { nfqueuetest.UDP(client4, server6, nil) },
		"not a query":    func() { nfqueuetest.DNSResponse(packets()["TCP4"]) },
		"empty":          func() { nfqueuetest.DNSResponse(nil) },
		"mapped address": func() { nfqueuetest.Echo(netip.MustParseAddr("::ffff:192.0.2.1"), client6.Addr(), 1, 1, nil) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "nfqueuetest: build a packet: ") {
					t.Errorf("%s: panics with %q", name, s)
				}
			}()
			build()
		}()
	}
}
