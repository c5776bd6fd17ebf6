// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// FuzzSetPayload: a payload is refused, and the packet is as before, or it goes out with lengths
// that fit, from memory of the packet, and the caller's is left alone.
func FuzzSetPayload(f *testing.F) {
	f.Add(udpPacket, append(bytes.Clone(udpPacket), " there"...), uint8(0), uint8(HookOutput), false)
	f.Add(udpPacket, udpPacket[:28], uint8(0), uint8(HookOutput), true)
	f.Add(udpPacket, udpPacket[:20], uint8(1), uint8(HookInput), true)
	f.Add(udpPacket, bytes.Repeat(udpPacket, 100), uint8(2), uint8(HookForward), false)
	f.Add(partialUDP(), udpPacket, uint8(0), uint8(HookOutput), true)
	f.Fuzz(func(t *testing.T, old, b []byte, family, hook uint8, gso bool) {
		if len(old) > MaxPayload {
			return
		}
		fam := []Family{FamilyIPv4, FamilyIPv6, FamilyBridge}[family%3]
		attrs := []attr{{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, Hook(hook%5))}}
		if gso {
			attrs = append(attrs, attr{nfqmsg.AttrSKBInfo,
				be32(uint32(ChecksumNotReady | SegmentationPending))})
		}
		p, err := decoded(packetMessage(fam, 1, append(attrs, attr{nfqmsg.AttrPayload, old})...))
		if err != nil {
			t.Fatal(err)
		}
		given, before, flow := bytes.Clone(b), bytes.Clone(p.Payload()), flowOf(p)
		err = p.SetPayload(b)
		if !bytes.Equal(b, given) {
			t.Fatal("the caller's slice was written to")
		}
		all, _ := verdictAttrs(t, p)
		sent, ok := all[nfqmsg.AttrPayload]
		if err != nil {
			if ok || !bytes.Equal(p.Payload(), before) || flowOf(p) != flow {
				t.Fatalf("refused (%v), and sent %x, the payload is %x", err, sent, p.Payload())
			}
			return
		}
		if !ok || !bytes.Equal(sent, p.Payload()) || len(sent) != len(b) {
			t.Fatalf("sent %x, the payload is %x", sent, p.Payload())
		}
		l, err := ippkt.Parse(sent)
		if err != nil || l.TotalLen != len(sent) && l.TotalLen != 0 {
			t.Fatalf("%x: %+v, %v", sent, l, err)
		}
		if gso && l.Protocol == UDP && p.Hook() <= HookInput {
			t.Fatal("a super-packet of UDP that came in was replaced")
		}
		// Once more, in place, is no change.
		again := bytes.Clone(sent)
		if err := p.SetPayload(p.Payload()); err != nil || !bytes.Equal(p.Payload(), again) {
			t.Fatalf("%v, %x became %x", err, again, p.Payload())
		}
	})
}
