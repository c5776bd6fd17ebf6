// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// lab is a kernel with a socket.
type lab struct {
	*testing.T
	k *Kernel
	c *Conn
}

func newLab(t *testing.T) *lab {
	k := New()
	return &lab{t, k, k.Dial()}
}

// ask sends messages in one datagram and returns the error numbers of the replies.
func (l *lab) ask(messages ...[]byte) (errnos []int32) {
	l.Helper()
	if err := l.c.Send(messages); err != nil {
		l.Fatal(err)
	}
	for _, b := range l.read() {
		if hdr, _ := nlwire.ParseHeader(b); hdr.Type == nlwire.TypeError {
			errno, _, _ := nlwire.Errno(b[nlwire.HeaderLen:])
			errnos = append(errnos, errno)
		}
	}
	return errnos
}

// want fails the test unless the kernel answers the messages with these error numbers.
func (l *lab) want(errnos []int32, messages ...[]byte) {
	l.Helper()
	got := l.ask(messages...)
	if len(got) != len(errnos) {
		l.Fatalf("replies %v, want %v", got, errnos)
	}
	for i := range got {
		if got[i] != errnos[i] {
			l.Fatalf("replies %v, want %v", got, errnos)
		}
	}
}

// read receives all datagrams that are there.
func (l *lab) read() (all [][]byte) {
	l.Helper()
	slab := transport.NewSlab(8, 1<<17)
	for l.waiting() {
		n, err := l.c.Recv(slab)
		if err != nil {
			l.Fatal(err)
		}
		for i := range n {
			all = append(all, append([]byte(nil), slab.Slot(i)[:slab.Datagram(i).Len]...))
		}
	}
	return all
}

func (l *lab) waiting() bool {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	return len(l.c.waiting) > 0
}

// bind binds a queue for whole packets.
func (l *lab) bind(queue uint16, attrs ...[]byte) {
	l.Helper()
	attrs = append([][]byte{attr(cfgCmd, cmdBind, 0, 0, 0), attr(cfgParams, 0, 0, 0, 0, copyPacket)},
		attrs...)
	l.want([]int32{0}, request(msgConfig, queue, attrs...))
}

func (l *lab) send(packets ...Packet) (flights []*Flight) {
	for _, p := range packets {
		flights = append(flights, l.k.Send(Rule{}, p))
	}
	return flights
}

func (l *lab) wantOutcome(f *Flight, passed bool, cause Cause, hops ...Hop) Outcome {
	l.Helper()
	select {
	case <-f.Done():
	default:
		l.Fatal("the packet is still in flight")
	}
	o := f.Outcome()
	if o.Passed != passed || o.Cause != cause || len(o.Hops) != len(hops) {
		l.Fatalf("%+v, want passed %v, cause %d, %d hops", o, passed, cause, len(hops))
	}
	for i, h := range hops {
		if o.Hops[i] != h {
			l.Errorf("hop %+v, want %+v", o.Hops[i], h)
		}
	}
	return o
}

func (l *lab) wantQueued(f *Flight, queue uint16, id uint32) {
	l.Helper()
	if q, i, ok := f.Queued(); !ok || q != queue || i != id {
		l.Fatalf("queued %v: %d in queue %d, want %d in queue %d", ok, i, q, id, queue)
	}
}

func request(typ uint8, queue uint16, attrs ...[]byte) []byte {
	m := nlwire.AppendHeader(nil, subsystem<<8|uint16(typ), nlwire.FlagRequest|nlwire.FlagAck, 1)
	m = binary.BigEndian.AppendUint16(append(m, 0, 0), queue)
	for _, a := range attrs {
		m = append(m, a...)
	}
	nlwire.Finish(m, 0)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}

func attr(typ uint16, data ...byte) []byte { return nlwire.AppendAttr(nil, typ, data) }

func u32(typ uint16, v uint32) []byte { return nlwire.AppendAttrU32(nil, typ, v) }

func verdictAttr(v, id uint32) []byte {
	return attr(attrVerdictHdr, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, v),
		id)...)
}

func verdictFor(v, id uint32, attrs ...[]byte) []byte {
	return request(msgVerdict, 0, append([][]byte{verdictAttr(v, id)}, attrs...)...)
}

// ip4 is a packet with n bytes behind its header.
func ip4(n int) Packet {
	b := make([]byte, 20+n)
	b[0], b[9] = 0x45, 253
	return Packet{Family: familyIPv4, EtherType: 0x0800, Payload: b}
}

func wantDeadline(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want os.ErrDeadlineExceeded", err)
	}
}

func soon() time.Time { return time.Now().Add(time.Millisecond) }
