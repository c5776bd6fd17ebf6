// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"bytes"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

func (l *lab) wantTable(want string) {
	l.Helper()
	if got := string(l.k.Table()); got != want {
		l.Errorf("table\n%swant\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	l := newLab(t)
	l.wantTable("")
	l.bind(65535, u32(cfgQueueMaxLen, 1))
	other := l.k.Dial()
	if err := other.Send([][]byte{request(msgConfig, 1, attr(cfgCmd, cmdBind, 0, 0, 0))}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.k.Send(Rule{Queue: 65535}, ip4(1))
	}
	want := "    1 4294963199     0 0 65531     0     0        0  1\n65535   4711     1 2 65531     2     0        1  1\n"
	l.wantTable(want)
	if b, err := l.c.ProcTable(); err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	other.Close()
	l.c.Close()
	l.wantTable("")
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		params []byte
		mode   uint8
		length uint32
	}{
		{[]byte{0, 0, 0, 0, 2}, 2, 65531},
		{[]byte{0xff, 0xff, 0xff, 0xff, 2}, 2, 65531},
		{[]byte{0, 0, 0xff, 0xfc, 2}, 2, 65531},
		{[]byte{0, 0, 0, 9, 2}, 2, 9},
		{[]byte{0, 0, 0, 9, 1}, 1, 0},
		{[]byte{0, 0, 0, 9, 0}, 0, 0},
		{[]byte{0, 0, 0, 9, 3}, 2, 77}, // unknown: stays as it was
	} {
		l := newLab(t)
		l.bind(0)
		l.want([]int32{0, 0}, request(msgConfig, 0, attr(cfgParams, 0, 0, 0, 77, 2)),
			request(msgConfig, 0, attr(cfgParams, c.params...)))
		q := l.k.queues[0]
		if q.mode != c.mode || q.copyRange != c.length {
			t.Errorf("%v: mode %d, range %d", c.params, q.mode, q.copyRange)
		}
	}
}

func TestFlagsAndMask(t *testing.T) {
	l := newLab(t)
	l.bind(0, u32(cfgMask, 5), u32(cfgFlags, 7))
	if f := l.k.queues[0].flags; f != 5 {
		t.Errorf("flags %#x", f)
	}
	l.want([]int32{0}, request(msgConfig, 0, u32(cfgMask, 9), u32(cfgFlags, 8)))
	if f := l.k.queues[0].flags; f != 12 {
		t.Errorf("flags %#x", f)
	}
	l.k.SetFlags(flagGSO)
	l.want([]int32{kernel.EOPNOTSUPP, 0, 0}, request(msgConfig, 0, u32(cfgMask, 2), u32(cfgFlags, 2)),
		request(msgConfig, 0, u32(cfgMask, 4), u32(cfgFlags, 2)),
		request(msgConfig, 0, u32(cfgMask, 2), u32(cfgFlags, 0)))
}

func TestModeNone(t *testing.T) {
	l := newLab(t)
	l.want([]int32{0}, request(msgConfig, 0, attr(cfgCmd, cmdBind, 0, 0, 0), u32(cfgMask, 1),
		u32(cfgFlags, 1)))
	l.wantOutcome(l.k.Send(Rule{Bypass: true}, ip4(1)), false, ModeNone)
	l.wantTable("    0   4711     0 0 65531     0     0        0  1\n")
}

func TestQueueFull(t *testing.T) {
	l := newLab(t)
	l.bind(0, u32(cfgQueueMaxLen, 2))
	f := l.send(ip4(1), ip4(1), ip4(1))
	l.wantOutcome(f[2], false, QueueFull)
	l.want([]int32{0, 0}, request(msgConfig, 0, u32(cfgMask, 1), u32(cfgFlags, 1)), verdictFor(0, 1))
	f = l.send(ip4(1), ip4(1))
	l.wantQueued(f[0], 0, 3) // the one that was dropped had no id
	l.wantOutcome(f[1], true, QueueFull)
	l.wantTable("    0   4711     2 2 65531     1     0        3  1\n")
	l.want([]int32{0}, request(msgConfig, 0, u32(cfgQueueMaxLen, 0)))
	l.wantOutcome(l.send(ip4(1))[0], true, QueueFull)
}

func TestBufferFull(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	if _, err := l.c.SetReadBuffer(8192); err != nil {
		t.Fatal(err)
	}
	f := l.send(make([]Packet, 10)...)
	l.wantQueued(f[8], 0, 9) // 832 bytes each
	l.wantOutcome(f[9], false, BufferFull)
	l.wantTable("    0   4711     9 2 65531     0     1       10  1\n")
	if size, used, err := l.c.ReadBuffer(); size != 8192 || used != 9*832 || err != nil {
		t.Errorf("%d of %d bytes, %v", used, size, err)
	}
	// The reply is lost, but the request has its effect.
	l.want(nil, request(msgConfig, 0, u32(cfgMask, 1), u32(cfgFlags, 1)))
	if l.k.queues[0].flags != flagFailOpen {
		t.Error("flags were not changed")
	}
	f = l.send(make([]Packet, 10)...)
	l.wantQueued(f[8], 0, 19)
	l.wantOutcome(f[9], true, BufferFull)
	l.wantTable("    0   4711    18 2 65531     0     1       20  1\n")
	l.read()
	if _, used, _ := l.c.ReadBuffer(); used != 0 {
		t.Errorf("%d bytes used", used)
	}
	// An empty buffer has room for any datagram.
	if _, err := l.c.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	f = l.send(ip4(60000), ip4(1))
	l.wantQueued(f[0], 0, 21)
	l.wantOutcome(f[1], true, BufferFull)
}

func TestCharge(t *testing.T) {
	for n, want := range map[int]int{
		0: 832, 130: 832, 131: 1280, 228: 1280, 528: 1280, 1028: 2304, 1500: 2304, 2028: 4352,
		4028: 8448, 9028: 16640, 16028: 33024, 16128: 16932, 30028: 30832, 65531: 66335,
	} {
		if got := charge(n); got != want {
			t.Errorf("%d bytes are charged %d, want %d", n, got, want)
		}
	}
}

func TestMaxPending(t *testing.T) {
	l := newLab(t)
	l.bind(0, u32(cfgQueueMaxLen, 1000000))
	if _, err := l.c.SetReadBuffer(1 << 30); err != nil {
		t.Fatal(err)
	}
	l.send(make([]Packet, maxPending)...)
	l.wantOutcome(l.send(ip4(1))[0], false, QueueFull)
	l.wantTable("    0   4711 65536 2 65531     1     0    65537  1\n")
}

func TestEndOfQueue(t *testing.T) {
	for name, end := range map[string]func(l *lab){
		"unbind": func(l *lab) { l.want([]int32{0}, request(msgConfig, 0, attr(cfgCmd, cmdUnbind, 0, 0, 0))) },
		"close":  func(l *lab) { l.c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.bind(0, u32(cfgMask, 1), u32(cfgFlags, 1))
			f := l.k.Send(Rule{Bypass: true}, ip4(1))
			end(l)
			l.wantOutcome(f, false, Unbound)
			l.wantOutcome(l.k.Send(Rule{Bypass: true}, ip4(1)), true, NotBound)
			l.wantOutcome(l.k.Send(Rule{}, ip4(1)), false, NotBound)
			l.c = l.k.Dial()
			l.bind(0)
			l.wantQueued(l.send(ip4(1))[0], 0, 1)
		})
	}
}

func TestFlush(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	l.bind(1)
	f, g := l.send(ip4(1))[0], l.k.Send(Rule{Queue: 1}, ip4(1))
	l.k.Flush()
	l.wantOutcome(f, false, Flushed)
	l.wantOutcome(g, false, Flushed)
	l.want([]int32{kernel.ENOENT}, verdictFor(1, 1))
	l.wantQueued(l.send(ip4(1))[0], 0, 2)
}

func TestPartialChecksum(t *testing.T) {
	p := ip4(8)
	p.Payload[9] = 17 // UDP
	p.SKBInfo = skbChecksumNotReady
	whole := bytes.Clone(p.Payload)
	if err := ippkt.Complete(whole); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, flags uint8
		want        []byte
		info        uint32
	}{
		{copyPacket, 0, whole, 0},
		{copyPacket, flagGSO, p.Payload, skbChecksumNotReady},
		{copyMeta, 0, p.Payload, skbChecksumNotReady},
	} {
		l := newLab(t)
		l.bind(0, attr(cfgParams, 0, 0, 0, 0, c.mode), u32(cfgMask, 4), u32(cfgFlags, uint32(c.flags)))
		f := l.send(p)[0]
		told := l.read()[0]
		l.want([]int32{0}, verdictFor(1, 1))
		o := l.wantOutcome(f, true, Decided, Hop{0, 1, 1, false})
		if !bytes.Equal(o.Packet.Payload, c.want) || o.Packet.SKBInfo != c.info {
			t.Errorf("mode %d, flags %d: %+v", c.mode, c.flags, o.Packet)
		}
		if c.mode == copyPacket && !bytes.HasSuffix(told, c.want) {
			t.Errorf("flags %d: %x", c.flags, told)
		}
	}
}

func TestGSOPacketNeedsFlag(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	p := ip4(5000)
	p.SKBInfo = skbGSO
	l.wantOutcome(l.send(p)[0], false, NotSegmented)
}

// The caller may change the memory of a packet after Send.
func TestSendCopies(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	p := ip4(1)
	p.Owner = &Owner{1, 2}
	f := l.send(p)[0]
	p.Payload[20], p.Owner.UID = 9, 9
	l.want([]int32{0}, verdictFor(1, 1))
	if o := f.Outcome(); o.Packet.Payload[20] == 9 || o.Packet.Owner.UID == 9 {
		t.Errorf("%+v", o.Packet)
	}
}

// Each datagram is one message, about one packet.
func TestOnePacketPerDatagram(t *testing.T) {
	l := newLab(t)
	l.bind(0)
	l.send(ip4(1), ip4(2), ip4(3))
	for i, b := range l.read() {
		if hdr, _ := nlwire.ParseHeader(b); int(hdr.Len) != len(b) || hdr.Seq != 0 || hdr.PID != 0 ||
			len(b)%4 != (i+1)%4 {
			t.Errorf("%d bytes: %+v", len(b), hdr)
		}
	}
}
