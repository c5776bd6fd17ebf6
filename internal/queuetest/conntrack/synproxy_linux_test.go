// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package conntrack_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/google/nftables/expr"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// synOnly matches the first segment of a TCP connection.
func synOnly(*netlab.Host) ([]expr.Any, error) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	return []expr.Any{
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseTransportHeader, Offset: 13,
			Len: 1},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 1,
			Mask: []byte{fin | syn | rst | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{syn}},
	}, nil
}

// synproxy has the kernel answer for a server until a client has proved its address.
func synproxy(*netlab.Host) ([]expr.Any, error) {
	return []expr.Any{&expr.SynProxy{Mss: 1460, Wscale: 7, Timestamp: true, SackPerm: true}}, nil
}

// segment returns the TCP header of a packet over IPv4, and its timestamp option.
func segment(t *testing.T, p *nfqueue.Packet) (header *layers.TCP, value, echo uint32) {
	t.Helper()
	header, ok := gopacket.NewPacket(p.Payload(), layers.LayerTypeIPv4,
		gopacket.Default).TransportLayer().(*layers.TCP)
	if !ok {
		t.Fatalf("not TCP: %x", p.Payload())
	}
	for _, o := range header.Options {
		if o.OptionType == layers.TCPOptionKindTimestamps {
			return header, binary.BigEndian.Uint32(o.OptionData), binary.BigEndian.Uint32(o.OptionData[4:])
		}
	}
	return header, 0, 0
}

// TestConntrackSynproxy: the SYN proxy remembers what it has told a client, and shifts sequence
// numbers and timestamps of the server by the difference to that.
func TestConntrackSynproxy(t *testing.T) {
	lab := newTrackLab(t)
	labtest.Must(t, lab.Server.SetSysctl("netfilter/nf_conntrack_tcp_loose", "0"))
	fromClient := []netlab.Expr{netlab.InDevName(netlab.Eth), netlab.L4Proto(tcp),
		netlab.DstPort(queuelab.Port)}
	rule := func(hook netlab.Hook, priority int32, then ...netlab.Expr) {
		labtest.Rule(t, labtest.Chain(t, lab.Server, netlab.IP, hook, priority),
			append(fromClient[:len(fromClient):len(fromClient)], then...)...)
	}
	rule(netlab.Prerouting, -300, synOnly, notrack)
	rule(netlab.Input, -2, netlab.InCTState(netlab.CTInvalid|netlab.CTUntracked),
		netlab.ToQueue(netlab.Queue{Num: 2}))
	rule(netlab.Input, -1, netlab.InCTState(netlab.CTInvalid|netlab.CTUntracked), synproxy)
	proving := make(chan *nfqueue.Packet, 100)
	queuelab.Serve(t, lab.Server, nfqueue.Config{Queue: 2}, func(p *nfqueue.Packet) nfqueue.Verdict {
		proving <- p.Clone()
		return nfqueue.Accept
	})
	lab.queue(t, noEdit, netlab.L4Proto(tcp))

	client, server := lab.connect(t, queuelab.Port,
		listenTCP(t, lab.Server, netip.AddrPortFrom(lab.Server4, queuelab.Port)))
	tell(t, client, server, "hello", "hello")
	tell(t, server, client, "welcome", "welcome")

	proof, _, given := segment(t, queuelab.WaitFor(t, proving))
	for proof.SYN {
		proof, _, given = segment(t, queuelab.WaitFor(t, proving))
	}
	var first *layers.TCP // of the server, which may come again
	var clock uint32
	var e conntrack.Entry
	for {
		p := queuelab.WaitFor(t, lab.seen)
		header, value, _ := segment(t, p)
		if header.SYN && header.ACK && first == nil {
			first, clock = header, value
		}
		if string(header.Payload) == "hello" {
			e, _ = p.Conntrack()
			break
		}
	}
	if first == nil || given == 0 || clock == 0 {
		t.Fatalf("the server's first segment is %v, timestamps are %d and %d", first, given, clock)
	}
	s, ok := e.Synproxy()
	if want := (conntrack.Synproxy{ISN: proof.Ack - 1, InitTimestamp: given,
		TimestampOffset: clock - given}); s != want || !ok {
		t.Errorf("%+v, %v; want %+v", s, ok, want)
	}
	shift := int32(s.ISN - first.Seq)
	original, reply, ok := e.SeqAdj()
	if original != (conntrack.SeqAdj{}) || reply.OffsetBefore != shift || reply.OffsetAfter != shift ||
		!ok {
		t.Errorf("adjustment %+v, %+v, %v; want %d in replies", original, reply, ok, shift)
	}
	wantStatus(t, e, "behind the proxy", conntrack.StatusSeqAdjust, 0)
}
