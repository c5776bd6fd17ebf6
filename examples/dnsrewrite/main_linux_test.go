// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// The resolver's answer has another address when it arrives, for the one name.
func TestDNSRewrite(t *testing.T) {
	labtest.NeedReplace(t)
	n := labtest.Pair(t)
	labtest.Rule(t, labtest.Chain(t, n.Client, netlab.IP, netlab.Input, 0),
		netlab.L4Proto(17), netlab.SrcPort(53), netlab.ToQueue(netlab.Queue{}))
	p := labtest.Start(t, n.Client, 1, "www.example.org", "203.0.113.80")
	u := labtest.SendUDP(t, n.Client, n.Server, netip.AddrPortFrom(n.Server4, 53))
	client := u.From.LocalAddr().(*net.UDPAddr).AddrPort()
	original := [4]byte{198, 51, 100, 1}
	for name, want := range map[string][4]byte{
		"WWW.example.org.":   {203, 0, 113, 80},
		"other.example.org.": original,
	} {
		header := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name),
			Class: dnsmessage.ClassINET, TTL: 7}
		sent := dnsmessage.Message{
			Header: dnsmessage.Header{ID: 5, Response: true},
			Questions: []dnsmessage.Question{{Name: header.Name, Type: dnsmessage.TypeA,
				Class: dnsmessage.ClassINET}},
			Answers: []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: original}}},
		}
		b, err := sent.Pack()
		labtest.Must(t, err)
		_, err = u.To.WriteToUDPAddrPort(b, client)
		labtest.Must(t, err)
		got := make([]byte, 1500)
		labtest.Must(t, u.From.SetReadDeadline(time.Now().Add(20*time.Second)))
		size, err := u.From.Read(got) // the kernel has found the checksum right
		labtest.Must(t, err)
		var m dnsmessage.Message
		labtest.Must(t, m.Unpack(got[:size]))
		if a := m.Answers[0].Body.(*dnsmessage.AResource).A; m.ID != 5 || a != want {
			t.Errorf("%s: %v", name, a)
		}
	}
	p.Terminate(t, "www.example.org. is 203.0.113.80 for 192.0.2.1\n")
}
