// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// corpus describes testdata/captures, as its README does.
var corpus = []struct {
	name string
	// flows are those from the client that the file must have, by protocol, type or
	// destination port, in both families.
	flows []string
	// words are in payloads of the transport protocols.
	words []string
}{
	{"http", []string{"tcp 80"}, []string{"GET /index.html HTTP/1.1", "POST /form HTTP/1.1",
		"HTTP/1.1 200 OK"}},
	{"tls", []string{"tcp 443"}, []string{"www.example.org", "http/1.1"}},
	{"quic", []string{"udp 443"}, nil},
	{"dns", []string{"udp 53", "tcp 53"}, []string{"\x03www\x07example\x03org\x00", "\x07nowhere",
		"a long text"}},
	{"ssh", []string{"tcp 22"}, []string{"SSH-2.0-client_1.0\r\n", "SSH-2.0-server_1.0\r\n",
		"curve25519-sha256"}},
	{"fragments", []string{"udp 7", "fragment"}, []string{"All of this is text."}},
	{"icmp-errors", []string{"udp 9", "udp 7", "error udp 9", "error udp 7"},
		[]string{"is anybody there?"}},
	{"vlan", []string{"udp 53"}, []string{"\x03www\x07example\x03org\x00"}},
}

func openCapture(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "captures", name+".pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Every capture has an entry, and every entry a capture.
func TestCorpusIsComplete(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "captures", "*.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, f := range files {
		have = append(have, strings.TrimSuffix(filepath.Base(f), ".pcapng"))
	}
	for _, c := range corpus {
		want = append(want, c.name)
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("captures %v, tested are %v", have, want)
	}
}

// A handler sees what the README says of a capture.
func TestCorpusContent(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			seen := make(map[string]bool)
			var text []byte
			all := collect(t, openCapture(t, c.name), handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				flow, ok := p.Flow()
				if !ok || p.Truncated() || p.InDevName() == "" {
					t.Errorf("packet %d: flow %+v, from %q, %d of %d bytes", p.ID(), flow, p.InDevName(),
						len(p.Payload()), p.FullLen())
				}
				family := "4 "
				if flow.Src.Is6() {
					family = "6 "
				}
				seen[family+name(flow)] = true
				if flow.Fragment {
					seen[family+"fragment"] = true
				}
				if quoted, ok := p.QuotedFlow(); ok {
					seen[family+"error "+name(quoted)] = true
				}
				text = append(text, p.Payload()...)
				return nfqueue.Accept
			}), nfqueuetest.Spec{})
			for _, f := range c.flows {
				if !seen["4 "+f] || !seen["6 "+f] {
					t.Errorf("no %s for both families in %v", f, seen)
				}
			}
			for _, w := range c.words {
				if !bytes.Contains(text, []byte(w)) {
					t.Errorf("no %q", w)
				}
			}
			for _, r := range all {
				if r.Verdict != nfqueue.Accept || !r.Passed || !bytes.Equal(r.Payload, r.Spec.Payload) ||
					r.Spec.Time.IsZero() {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func name(f nfqueue.Flow) string {
	switch layers.IPProtocol(f.Protocol) {
	case layers.IPProtocolTCP:
		return fmt.Sprintf("tcp %d", f.DstPort)
	case layers.IPProtocolUDP:
		return fmt.Sprintf("udp %d", f.DstPort)
	}
	return fmt.Sprintf("protocol %d", f.Protocol)
}

// A second decoder reads every packet to its end, and finds the checksums of the kernel and of a
// rewriting handler right.
func TestCorpusRewritten(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			rewritten := 0
			for _, r := range collect(t, openCapture(t, c.name),
				handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					b := p.Payload()
					if l, err := ippkt.Parse(b); err != nil || l.Fragment() {
						return nfqueue.Accept // its checksum covers more than there is
					}
					b[len(b)-1] ^= 0x55
					if err := p.SetPayload(append(b, "and more"...)); err != nil {
						t.Errorf("packet %d: %v", p.ID(), err)
					}
					return nfqueue.Accept
				}), nfqueuetest.Spec{}) {
				checkSums(t, r.Number, r.Spec.Payload)
				if !r.Edits.Payload {
					continue
				}
				rewritten++
				checkSums(t, r.Number, r.Payload)
				if !bytes.HasSuffix(r.Payload, []byte("and more")) || len(r.Payload) != len(r.Spec.Payload)+8 {
					t.Errorf("packet %d: %x became %x", r.Number, r.Spec.Payload, r.Payload)
				}
			}
			if rewritten == 0 && c.name != "fragments" {
				t.Error("nothing was rewritten")
			}
		})
	}
}

// checkSums verifies lengths and checksums of a packet with gopacket.
func checkSums(t *testing.T, number int, packet []byte) {
	t.Helper()
	first, total := layers.LayerTypeIPv4, int(binary.BigEndian.Uint16(packet[2:]))
	if packet[0]>>4 == 6 {
		first, total = layers.LayerTypeIPv6, int(binary.BigEndian.Uint16(packet[4:]))+40
	}
	if total != len(packet) {
		t.Errorf("packet %d: length %d in the header, is %d", number, total, len(packet))
	}
	p := gopacket.NewPacket(packet, first, gopacket.Default)
	if p.Layer(gopacket.LayerTypeFragment) != nil {
		return // the rest is elsewhere
	}
	if p.TransportLayer() == nil && p.Layer(layers.LayerTypeICMPv4) == nil &&
		p.Layer(layers.LayerTypeICMPv6) == nil {
		t.Errorf("packet %d: cannot be decoded: %v", number, p)
	}
	for _, l := range p.Layers() {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Error(err)
			}
		}
	}
	err, mismatches := p.VerifyChecksums()
	if err != nil || len(mismatches) > 0 {
		t.Errorf("packet %d: %v, %v", number, err, mismatches)
	}
}

// The quoted packets of ICMP errors are found where connection tracking looks for them.
func TestCorpusErrorsBelongToFlows(t *testing.T) {
	client := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): true,
		netip.MustParseAddr("2001:db8:1::1"): true}
	sent := make(map[nfqueue.Flow]bool)
	errs := 0
	collect(t, openCapture(t, "icmp-errors"), handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		flow, _ := p.Flow()
		if client[flow.Src] {
			sent[flow] = true
		}
		if quoted, ok := p.QuotedFlow(); ok {
			if errs++; !sent[quoted] || !client[flow.Dst] {
				t.Errorf("an error for %+v, which was not sent", quoted)
			}
		}
		return nfqueue.Accept
	}), nfqueuetest.Spec{})
	if errs != 6 {
		t.Errorf("%d errors, want 3 of each family", errs)
	}
}
