// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var captured = time.Unix(1700000000, 123456000).UTC()

// capture makes a file. Data longer than the snap length is cut.
func capture(t testing.TB, link layers.LinkType, snap int, data ...[]byte) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{Name: "wan0", LinkType: link},
		pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range data {
		n := min(len(d), snap)
		err := w.WritePacket(gopacket.CaptureInfo{Timestamp: captured.Add(time.Duration(i) * time.Second),
			CaptureLength: n, Length: len(d)}, d[:n])
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return &b
}

const noSnap = 1 << 18

// ethernet makes a frame of a packet.
func ethernet(etherType uint16, packet []byte) []byte {
	return slices.Concat([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 7, byte(etherType >> 8),
		byte(etherType)}, packet)
}

var (
	arp  = ethernet(0x0806, make([]byte, 28))
	udp1 = nfqueuetest.UDP(client4, discard4, []byte("one"))
	udp2 = nfqueuetest.UDP(client6, discard6, []byte("two"))
	udp3 = nfqueuetest.UDP(client4, discard4, []byte("three"))
	udp4 = nfqueuetest.UDP(client4, discard4, []byte("four"))
)

// collect replays a capture and ends the test if that fails.
func collect(t testing.TB, c io.Reader, h nfqueue.Handler,
	s nfqueuetest.Spec) (all []nfqueuetest.Replayed) {
	t.Helper()
	for r, err := range nfqueuetest.Replay(c, nfqueue.Config{}, h, s) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func numbers(all []nfqueuetest.Replayed) (n []int) {
	for _, r := range all {
		n = append(n, r.Number)
	}
	return n
}

// body returns the data of a UDP packet.
func body(packet []byte) string {
	p := gopacket.NewPacket(packet, layers.LayerTypeIPv4, gopacket.Default)
	if packet[0]>>4 == 6 {
		p = gopacket.NewPacket(packet, layers.LayerTypeIPv6, gopacket.Default)
	}
	return string(p.TransportLayer().LayerPayload())
}

func TestReplay(t *testing.T) {
	file := capture(t, layers.LinkTypeEthernet, noSnap,
		ethernet(0x0800, udp1), arp, ethernet(0x86dd, udp2),
		ethernet(0x0800, append(udp3, make([]byte, 14)...)))
	got := collect(t, file, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
		when, ok := p.Time()
		if p.Hook() != nfqueue.HookForward || p.InDevName() != "wan0" || p.OutDevName() != "lan0" ||
			p.HardwareAddr().String() != "02:00:00:00:00:07" ||
			!ok || when.Sub(captured) != time.Duration([]int{0, 0, 2, 3}[p.ID()])*time.Second {
			t.Errorf("%v %q %q %v %v", p.Hook(), p.InDevName(), p.OutDevName(), p.HardwareAddr(), when)
		}
		switch p.ID() {
		case 1:
			p.SetMark(9)
		case 2:
			return nfqueue.Drop
		case 3:
			if err := p.SetPayload(bytes.Replace(p.Payload(), []byte("three"), []byte("twelve"),
				1)); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Microsecond)
		return nfqueue.Accept
	}), nfqueuetest.Spec{Hook: nfqueue.HookForward, OutDevName: "lan0", Mark: 3})
	if !slices.Equal(numbers(got), []int{1, 2, 3, 4}) {
		t.Fatalf("%+v", got)
	}
	for i, r := range got {
		if !r.Spec.Time.Equal(captured.Add(time.Duration(i)*time.Second)) ||
			(r.Took > 0) != (i == 0 || i == 3) && i != 2 {
			t.Errorf("packet %d: captured at %v, took %v", r.Number, r.Spec.Time, r.Took)
		}
	}
	if r := got[0]; r.Verdict != nfqueue.Accept || !r.Passed || r.Mark != 9 ||
		r.Edits != (nfqueuetest.Edits{Mark: true}) || !bytes.Equal(r.Payload, udp1) {
		t.Errorf("%+v", r)
	}
	if r := got[1]; r.Cause != nfqueuetest.NotIP || !r.Passed || len(r.Hops) != 0 ||
		len(r.Payload) != 28 || r.Mark != 3 || r.Spec.EtherType != 0x0806 {
		t.Errorf("%+v", r)
	}
	if r := got[2]; r.Verdict != nfqueue.Drop || r.Passed || r.Spec.Family != nfqueue.FamilyIPv6 ||
		r.Mark != 3 {
		t.Errorf("%+v", r)
	}
	if r := got[3]; !r.Edits.Payload || body(r.Payload) != "twelve" || len(r.Payload) != len(udp3)+1 ||
		!bytes.Equal(r.Spec.Payload, udp3) {
		t.Errorf("%+v", r)
	}
}

// A capture with a snap length has truncated packets.
func TestReplayCut(t *testing.T) {
	got := collect(t, capture(t, layers.LinkTypeRaw, 30, udp1, udp3, udp2),
		handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			want := len([][]byte{udp1, udp3, udp2}[p.ID()-1])
			if !p.Truncated() || p.FullLen() != want || len(p.Payload()) != 30 {
				t.Errorf("%d of %d bytes, truncated: %v", len(p.Payload()), p.FullLen(), p.Truncated())
			}
			if err := p.SetPayload(p.Payload()); !errors.Is(err, nfqueue.ErrTruncated) {
				t.Error(err)
			}
			return nfqueue.Accept
		}), nfqueuetest.Spec{})
	for i, r := range got {
		if len(r.Payload) != 30 || r.Spec.FullLen != len([][]byte{udp1, udp3, udp2}[i]) {
			t.Errorf("%+v", r)
		}
	}
}

// In the bridge family the handler sees frames with their Ethernet header and tag, also other than
// IP.
func TestReplayBridged(t *testing.T) {
	tagged := ethernet(0x8100, slices.Concat([]byte{0x20, 100, 8, 0}, udp1))
	got := collect(t, capture(t, layers.LinkTypeEthernet, noSnap, tagged, arp),
		handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			tag, ok := p.VLAN()
			if p.Family() != nfqueue.FamilyBridge || len(p.LinkHeader()) != 14 || ok != (p.ID() == 1) ||
				ok && (tag.ID() != 100 || tag.Protocol != 0x8100) {
				t.Errorf("%v, header %x, tag %v", p.Family(), p.LinkHeader(), tag)
			}
			if p.PhysInDevName() != "wan0" || p.InDevName() != "br0" ||
				p.EtherType() != []uint16{0, 0x0800, 0x0806}[p.ID()] {
				t.Errorf("%q %q %#x", p.PhysInDevName(), p.InDevName(), p.EtherType())
			}
			return nfqueue.Accept
		}), nfqueuetest.Spec{Family: nfqueue.FamilyBridge, Hook: nfqueue.HookForward})
	if len(got) != 2 || got[0].VLAN.ID() != 100 || !bytes.Equal(got[1].LinkHeader, arp[:14]) {
		t.Errorf("%+v", got)
	}
	got = collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1), always(nfqueue.Drop),
		nfqueuetest.Spec{Family: nfqueue.FamilyBridge})
	if len(got) != 1 || got[0].Cause != nfqueuetest.NotIP || !got[0].Passed {
		t.Errorf("%+v", got)
	}
}

// A frame with an unknown link type passes by the queue; other frames of the file do not.
func TestReplayUnknownLink(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{LinkType: layers.LinkTypeRaw},
		pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	usb, err := w.AddInterface(pcapgo.NgInterface{LinkType: 189})
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []int{0, usb, 0} {
		info := gopacket.CaptureInfo{InterfaceIndex: index, CaptureLength: len(udp1), Length: len(udp1)}
		if err := w.WritePacket(info, udp1); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, family := range []nfqueue.Family{0, nfqueue.FamilyBridge} {
		got := collect(t, bytes.NewReader(b.Bytes()), always(nfqueue.Drop),
			nfqueuetest.Spec{Family: family})
		if len(got) != 3 {
			t.Fatalf("%+v", got)
		}
		if r := got[1]; r.Cause != nfqueuetest.UnknownLink || r.LinkType != 189 || !r.Passed {
			t.Errorf("%+v", r)
		}
		if r := got[2]; r.LinkType != uint16(layers.LinkTypeRaw) || r.Passed != (family != 0) ||
			r.Cause == nfqueuetest.UnknownLink {
			t.Errorf("%+v", r)
		}
	}
}

// At the output hook a packet leaves by the interface that it was captured on, unless the caller
// names another.
func TestReplayInterface(t *testing.T) {
	for _, c := range []struct {
		spec    nfqueuetest.Spec
		in, out string
	}{
		{nfqueuetest.Spec{Hook: nfqueue.HookOutput}, "", "wan0"},
		{nfqueuetest.Spec{Hook: nfqueue.HookPostrouting}, "", "wan0"},
		{nfqueuetest.Spec{Hook: nfqueue.HookInput}, "wan0", ""},
		{nfqueuetest.Spec{Hook: nfqueue.HookForward}, "wan0", "eth1"},
		{nfqueuetest.Spec{InDevName: "ppp0"}, "ppp0", ""},
	} {
		got := collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1),
			handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.InDevName() != c.in || p.OutDevName() != c.out {
					t.Errorf("%v: from %q to %q", c.spec.Hook, p.InDevName(), p.OutDevName())
				}
				return nfqueue.Accept
			}), c.spec)
		if len(got) != 1 {
			t.Errorf("%+v", got)
		}
	}
}

// Deferred packets do not hold up others. Their results come when they are decided.
func TestReplayDeferred(t *testing.T) {
	t.Run("by a later packet", func(t *testing.T) {
		var first *nfqueue.Held
		got := collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2, udp3, udp4),
			handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				switch body(p.Payload()) {
				case "one":
					first = p.Defer()
					return nfqueue.Deferred
				case "three":
					first.Packet().SetMark(1)
					if err := first.Resolve(nfqueue.Accept); err != nil {
						t.Error(err)
					}
				}
				return nfqueue.Accept
			}), nfqueuetest.Spec{})
		n := numbers(got)
		if i := slices.Index(n, 1); len(n) != 4 || i < 1 || got[i].Mark != 1 {
			t.Errorf("%v", n)
		}
		if n = slices.DeleteFunc(n, func(n int) bool { return n == 1 }); !slices.Equal(n,
			[]int{2, 3, 4}) {
			t.Errorf("%v", n)
		}
	})
	t.Run("at the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got := collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2),
				handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					h := p.Defer()
					go func() {
						time.Sleep(9 * time.Second)
						_ = h.Resolve(nfqueue.Accept)
					}()
					return nfqueue.Deferred
				}), nfqueuetest.Spec{})
			if !slices.Equal(numbers(got), []int{1, 2}) || !got[0].Passed || !got[1].Passed {
				t.Errorf("%+v", got)
			}
		})
	})
	t.Run("before the handler returns", func(t *testing.T) {
		got := collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2),
			handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				h := p.Defer()
				done := make(chan error)
				go func() { done <- h.Resolve(nfqueue.Accept) }()
				if err := <-done; err != nil {
					t.Error(err)
				}
				return nfqueue.Deferred
			}), nfqueuetest.Spec{})
		if !slices.Equal(numbers(got), []int{1, 2}) || !got[1].Passed {
			t.Errorf("%+v", got)
		}
	})
	t.Run("repeated", func(t *testing.T) {
		var held []*nfqueue.Held
		got := collect(t, capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2),
			handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if p.Mark() == 0 {
					held = append(held, p.Defer())
					if len(held) == 2 {
						for _, h := range held {
							h.Packet().SetMark(1)
							if err := h.Resolve(nfqueue.Repeat); err != nil {
								t.Error(err)
							}
						}
					}
					return nfqueue.Deferred
				}
				return nfqueue.Accept
			}), nfqueuetest.Spec{Match: func(nfqueuetest.Spec) bool { return true }})
		slices.SortFunc(got, func(a, b nfqueuetest.Replayed) int { return a.Number - b.Number })
		if len(got) != 2 || len(got[0].Hops) != 2 || len(got[1].Hops) != 2 || got[1].Mark != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A loop may end early. It then leaves no goroutine behind.
func TestReplayBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // waits for all goroutines
		calls := 0
		for r, err := range nfqueuetest.Replay(capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2, udp3),
			nfqueue.Config{}, handlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
				if calls++; calls == 1 {
					p.Defer()
					return nfqueue.Deferred
				}
				return nfqueue.Accept
			}), nfqueuetest.Spec{}) {
			if err != nil || r.Number != 2 {
				t.Errorf("%+v, %v", r, err)
			}
			break
		}
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestReplayFails(t *testing.T) {
	good := func() io.Reader { return capture(t, layers.LinkTypeRaw, noSnap, udp1, udp2, udp3) }
	whole, err := io.ReadAll(good())
	if err != nil {
		t.Fatal(err)
	}
	second := func(bad handlerFunc) handlerFunc {
		return func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID() == 2 {
				return bad(p)
			}
			return nfqueue.Accept
		}
	}
	const anyNumber = -1 // the queue notices when it may
	var block chan struct{}
	for _, c := range []struct {
		name  string
		file  io.Reader
		h     handlerFunc
		n     int // packets before the error
		words []string
	}{
		{"not a capture", strings.NewReader("hello, world"), always(nfqueue.Accept), 0,
			[]string{"neither pcap nor pcapng"}},
		{"cut", bytes.NewReader(whole[:len(whole)-5]), always(nfqueue.Accept), 2,
			[]string{"packet 3", "cut"}},
		{"panic", good(), second(func(*nfqueue.Packet) nfqueue.Verdict { panic("oh") }), 1,
			[]string{"packet 2", "panicked: oh"}},
		{"Goexit", good(), second(func(*nfqueue.Packet) nfqueue.Verdict { runtime.Goexit(); return 0 }),
			1, []string{"packet 2", "ended its goroutine"}},
		{"invalid", good(), second(always(2)), 1, []string{"packet 2", "invalid verdict", "NF_STOLEN"}},
		{"Deferred without Defer", good(), second(always(nfqueue.Deferred)), 1,
			[]string{"packet 2", "invalid verdict"}},
		{"twice", good(), second(func(p *nfqueue.Packet) nfqueue.Verdict {
			_ = p.Defer().Resolve(nfqueue.Accept)
			return nfqueue.Drop
		}), anyNumber, []string{"packet ", "twice"}},
		{"forgotten", good(), second(deferAll), 2, []string{"packet 2: deferred", "10s after the end"}},
		{"blocked", good(), second(func(*nfqueue.Packet) nfqueue.Verdict { <-block; return nfqueue.Drop }), 1, []string{"packet 2", "has not returned within 10s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block = make(chan struct{})
				defer func() { close(block) }()
				n := 0
				var failure error
				for _, err := range nfqueuetest.Replay(c.file, nfqueue.Config{}, c.h, nfqueuetest.Spec{}) {
					if failure != nil {
						t.Error("the loop goes on after an error")
					}
					if failure = err; err == nil {
						n++
					}
				}
				if failure == nil || n != c.n && c.n != anyNumber {
					t.Fatalf("%d packets, then %v", n, failure)
				}
				for _, w := range append(c.words, "nfqueuetest: replay: ") {
					if !strings.Contains(failure.Error(), w) {
						t.Errorf("%v, without %q", failure, w)
					}
				}
			})
		})
	}
}
