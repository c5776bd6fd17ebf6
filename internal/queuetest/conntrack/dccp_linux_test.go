// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package conntrack_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

const dccp = 33 // IPPROTO_DCCP

// dccpPacket returns a packet with a long sequence number (RFC 4340 section 5.1), without data.
func dccpPacket(from, to netip.AddrPort, typ byte, seq uint64, more ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = append(b, byte(16+len(more))/4, 0, 0, 0, typ<<1|1, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(seq>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(seq))
	b = append(b, more...)
	pseudo := append(append(from.Addr().AsSlice(), to.Addr().AsSlice()...), 0, dccp, 0, byte(len(b)))
	binary.BigEndian.PutUint16(b[6:], ^ippkt.Fold(ippkt.Sum(ippkt.Sum(0, pseudo), b)))
	return b
}

// TestConntrackDCCP: a request makes an entry, and the answer has the sequence number of the
// handshake. Linux 6.17 and later take DCCP for any protocol.
func TestConntrackDCCP(t *testing.T) {
	lab := track(t, noEdit, netlab.L4Proto(dccp))
	listen := func(h *netlab.Host, at netip.Addr) net.PacketConn {
		c, err := netlab.In(h, func() (net.PacketConn, error) { return net.ListenPacket("ip4:33", at.String()) })
		labtest.Must(t, err)
		t.Cleanup(func() { c.Close() })
		labtest.Must(t, c.SetDeadline(time.Now().Add(queuelab.Patience)))
		return c
	}
	client, server := netip.AddrPortFrom(lab.Client4, 1000), netip.AddrPortFrom(lab.Server4, 2000)
	c, s := listen(lab.Client, lab.Client4), listen(lab.Server, lab.Server4)
	send := func(c net.PacketConn, to netip.AddrPort, packet []byte) {
		_, err := c.WriteTo(packet, &net.IPAddr{IP: to.Addr().AsSlice()})
		labtest.Must(t, err)
	}
	tracked := !labtest.AtLeast(t, 6, 17)
	tuple := conntrack.Tuple{Src: lab.Client4, Dst: lab.Server4, Protocol: dccp}
	if tracked {
		tuple.SrcPort, tuple.DstPort = 1000, 2000
	}
	want := func(e conntrack.Entry, want conntrack.DCCPInfo) {
		t.Helper()
		wantTuples(t, e, tuple)
		if !tracked {
			want = conntrack.DCCPInfo{}
		}
		if info, ok := e.DCCP(); ok != tracked || info != want {
			t.Errorf("DCCP %+v, %v; want %+v", info, ok, want)
		}
	}

	const request, response, theirs, ours = 0, 1, 0x123456789abc, 0xfedcba987654
	send(c, server, dccpPacket(client, server, request, theirs, 0, 0, 0, 42)) // service code
	_, e := lab.next(t, nfqueue.HookInput, conntrack.StateNew)
	want(e, conntrack.DCCPInfo{State: conntrack.DCCPRequest})
	_, _, err := s.ReadFrom(make([]byte, 100)) // has been accepted
	labtest.Must(t, err)

	acknowledged := binary.BigEndian.AppendUint64(nil, theirs)
	send(s, client, dccpPacket(server, client, response, ours, append(acknowledged, 0, 0, 0, 42)...))
	_, e = lab.next(t, nfqueue.HookOutput, conntrack.StateEstablishedReply)
	want(e, conntrack.DCCPInfo{State: conntrack.DCCPRespond, HandshakeSeq: ours})
}
