// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package queue_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// frameSocket sends and receives frames on the only link of a host.
type frameSocket struct {
	fd, index int
}

func newFrameSocket(t *testing.T, h *netlab.Host) frameSocket {
	t.Helper()
	s, err := netlab.In(h, func() (s frameSocket, err error) {
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return s, err
		}
		t.Cleanup(func() { unix.Close(s.fd) })
		link, err := unix.NewIfreq(netlab.Eth)
		if err != nil {
			return s, err
		}
		if err := unix.IoctlIfreq(s.fd, unix.SIOCGIFINDEX, link); err != nil {
			return s, err
		}
		s.index = int(link.Uint32())
		if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return s, err
		}
		limit := unix.NsecToTimeval(queuelab.Patience.Nanoseconds())
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return s, err
		}
		all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return s, unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: s.index})
	})
	labtest.Must(t, err)
	return s
}

// frame is an Ethernet frame. The kernel keeps the tag apart.
type frame struct {
	header  []byte // destination, source, type
	tag     nfqueue.VLAN
	payload []byte
}

func (f frame) String() string { return fmt.Sprintf("%x, tag %+v, %q", f.header, f.tag, f.payload) }

func (s frameSocket) send(t *testing.T, f frame) {
	t.Helper()
	b := bytes.Clone(f.header[:12])
	if f.tag.Protocol != 0 {
		b = binary.BigEndian.AppendUint16(b, f.tag.Protocol)
		b = binary.BigEndian.AppendUint16(b, f.tag.TCI)
	}
	b = append(append(b, f.header[12:]...), f.payload...)
	labtest.Must(t, unix.Sendto(s.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: s.index}))
}

// receive returns the next frame to a destination.
func (s frameSocket) receive(t *testing.T, to []byte) frame {
	t.Helper()
	for deadline := time.Now().Add(queuelab.Patience); time.Now().Before(deadline); {
		b, control := make([]byte, 2048), make([]byte, 128)
		n, controlLen, _, _, err := unix.Recvmsg(s.fd, b, control, 0)
		if err == unix.EINTR {
			continue
		}
		labtest.Must(t, err)
		if n < 14 || !bytes.Equal(b[:6], to) {
			continue
		}
		f := frame{header: b[:14], payload: b[14:n]}
		messages, err := unix.ParseSocketControlMessage(control[:controlLen])
		labtest.Must(t, err)
		for _, m := range messages {
			// struct tpacket_auxdata: status, len, snaplen u32, mac, net, tci, tpid u16
			const tagValid = 0x10 // TP_STATUS_VLAN_VALID
			if m.Header.Type == unix.PACKET_AUXDATA && binary.NativeEndian.Uint32(m.Data)&tagValid != 0 {
				f.tag = nfqueue.VLAN{TCI: binary.NativeEndian.Uint16(m.Data[16:]),
					Protocol: binary.NativeEndian.Uint16(m.Data[18:])}
			}
		}
		return f
	}
	t.Fatal("no frame came")
	panic("unreachable")
}

// TestBridgeFrames queues frames that pass a bridge, and changes their tag and header, and the
// packet if the kernel allows that.
func TestBridgeFrames(t *testing.T) {
	// Linux 7.2 and later replace no payload of the bridge family ("netfilter:
	// nfnetlink_queue: restrict writes to network header", 54f34607d184).
	replaces := !labtest.AtLeast(t, 7, 2)
	to := []byte{2, 0, 0, 0, 0, 9}
	header := append(bytes.Clone(to), 2, 0, 0, 0, 0, 1, 0x08, 0x00)
	otherSource := append(bytes.Clone(to), 2, 0, 0, 0, 0, 7, 0x08, 0x00)
	packet := []byte{
		0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 17, 0xb6, 0xc8, 192, 0, 2, 1, 192, 0, 2, 2,
		0x30, 0x39, 0x0f, 0xa0, 0, 12, 0, 0, 't', 'e', 's', 't', // without a checksum
	}
	replaced := append(bytes.Clone(packet[:28]), "TEST"...)
	hundred, fivehundred := nfqueue.VLAN{TCI: 0x6064, Protocol: 0x8100},
		nfqueue.VLAN{TCI: 0x01f4, Protocol: 0x88a8}
	for _, c := range []struct {
		name       string
		sent, want frame
		edit       func(p *nfqueue.Packet) error
		lost       bool
	}{
		{"untagged", frame{header: header}, frame{header: header}, nil, false},
		{"tagged", frame{header: header, tag: hundred}, frame{header: header, tag: hundred}, nil, false},
		{"tag added", frame{header: header}, frame{header: header, tag: hundred},
			func(p *nfqueue.Packet) error { return p.SetVLAN(hundred) }, false},
		{"tag replaced", frame{header: header, tag: hundred}, frame{header: header, tag: fivehundred},
			func(p *nfqueue.Packet) error { return p.SetVLAN(fivehundred) }, false},
		{"link header", frame{header: header}, frame{header: otherSource},
			func(p *nfqueue.Packet) error { return p.SetLinkHeader(otherSource) }, false},
		{"link header behind a tag", frame{header: header, tag: hundred},
			frame{header: otherSource, tag: hundred},
			func(p *nfqueue.Packet) error { return p.SetLinkHeader(otherSource) }, false},
		{"payload", frame{header: header}, frame{header: header, payload: replaced},
			func(p *nfqueue.Packet) error { return p.SetPayloadRaw(replaced) }, !replaces},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.sent.payload = packet
			if c.want.payload == nil {
				c.want.payload = packet
			}
			n := labtest.Bridged(t)
			const priority = -200 // NF_BR_PRI_FILTER_BRIDGED
			chain := labtest.Chain(t, n.Middle, netlab.Bridge, netlab.Prerouting, priority)
			labtest.Rule(t, chain, netlab.InDevName(netlab.ToClient), netlab.ToQueue(netlab.Queue{}))
			var got []frame
			q := queuelab.Serve(t, n.Middle, nfqueue.Config{}, func(p *nfqueue.Packet) nfqueue.Verdict {
				if !bytes.HasPrefix(p.LinkHeader(), to) {
					return nfqueue.Accept // the kernel's own
				}
				tag, _ := p.VLAN()
				got = append(got, frame{bytes.Clone(p.LinkHeader()), tag, bytes.Clone(p.Payload())})
				if p.Family() != nfqueue.FamilyBridge || p.EtherType() != 0x0800 ||
					p.InDevName() != netlab.Br0 || p.PhysInDevName() != netlab.ToClient {
					t.Errorf("%v, type %#x, from %q of %q", p.Family(), p.EtherType(), p.PhysInDevName(),
						p.InDevName())
				}
				if c.edit != nil && len(got) == 1 {
					if err := c.edit(p); err != nil {
						t.Error(err)
					}
				}
				return nfqueue.Accept
			})
			client, server := newFrameSocket(t, n.Client), newFrameSocket(t, n.Server)
			last := frame{header: header, payload: append(bytes.Clone(packet[:28]), "last"...)}
			client.send(t, c.sent)
			client.send(t, last)
			if !c.lost {
				if f := server.receive(t, to); f.String() != c.want.String() {
					t.Errorf("received %v, want %v", f, c.want)
				}
			}
			if f := server.receive(t, to); f.String() != last.String() {
				t.Errorf("received %v, want %v", f, last)
			}
			queuelab.Stop(t, q)
			if len(got) != 2 || got[0].String() != c.sent.String() {
				t.Errorf("queued %v, want %v", got, c.sent)
			}
		})
	}
}
