// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// everything is a message with all attributes, in the order of the kernel.
func everything() []byte {
	return packetMessage(FamilyBridge, 513,
		attr{nfqmsg.AttrPacketHdr, packetHdr(0x01020304, etherTypeIPv4, HookForward)},
		attr{nfqmsg.AttrPhysInDev, be32(7)},
		attr{nfqmsg.AttrInDev, be32(5)},
		attr{nfqmsg.AttrPhysOutDev, be32(8)},
		attr{nfqmsg.AttrOutDev, be32(6)},
		attr{nfqmsg.AttrMark, be32(0xdeadbeef)},
		attr{nfqmsg.AttrPriority, be32(9)},
		attr{nfqmsg.AttrHWAddr, []byte{0, 6, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0}},
		attr{0x8000 | nfqmsg.AttrVLAN, append(append([]byte(nil), nested(nfqmsg.AttrVLANTCI,
			be16(0xe064))...), nested(nfqmsg.AttrVLANProto, be16(0x8100))...)},
		attr{nfqmsg.AttrL2Hdr, []byte("fourteen bytes")},
		attr{nfqmsg.AttrTimestamp, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil,
			1700000000), 123456)},
		attr{nfqmsg.AttrUID, be32(1000)},
		attr{nfqmsg.AttrGID, be32(100)},
		attr{nfqmsg.AttrCgroupClassID, be32(0x10001)},
		attr{nfqmsg.AttrSecCtx, []byte("unlabeled\x00")},
		attr{nfqmsg.AttrCTInfo, be32(2)},
		attr{nfqmsg.AttrCapLen, be32(70000)},
		attr{nfqmsg.AttrSKBInfo, be32(3)},
		attr{99, []byte("from a newer kernel")},
		attr{nfqmsg.AttrPayload, udpPacket},
	)
}

// nested is an attribute with its padding.
func nested(typ uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestEveryAttribute(t *testing.T) {
	p, err := decoded(everything())
	if err != nil {
		t.Fatal(err)
	}
	priority, priorityOK := p.Priority()
	uid, uidOK := p.UID()
	gid, gidOK := p.GID()
	class, classOK := p.CgroupClassID()
	vlan, vlanOK := p.VLAN()
	stamp, stampOK := p.Time()
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"ID", p.ID(), uint32(0x01020304)},
		{"Queue", p.Queue(), uint16(513)},
		{"Family", p.Family(), FamilyBridge},
		{"Hook", p.Hook(), HookForward},
		{"EtherType", p.EtherType(), uint16(0x0800)},
		{"InDev", p.InDev(), 5},
		{"OutDev", p.OutDev(), 6},
		{"PhysInDev", p.PhysInDev(), 7},
		{"PhysOutDev", p.PhysOutDev(), 8},
		{"InDevName", p.InDevName(), ""},
		{"Mark", p.Mark(), uint32(0xdeadbeef)},
		{"Priority", priority, uint32(9)},
		{"Priority ok", priorityOK, true},
		{"HardwareAddr", p.HardwareAddr().String(), "02:00:00:00:00:01"},
		{"VLAN", vlan, VLAN{TCI: 0xe064, Protocol: 0x8100}},
		{"VLAN ID", vlan.ID(), uint16(100)},
		{"VLAN ok", vlanOK, true},
		{"LinkHeader", string(p.LinkHeader()), "fourteen bytes"},
		{"Time", stamp.UTC(), time.Unix(1700000000, 123456000).UTC()},
		{"Time ok", stampOK, true},
		{"UID", uid, uint32(1000)},
		{"UID ok", uidOK, true},
		{"GID", gid, uint32(100)},
		{"GID ok", gidOK, true},
		{"CgroupClassID", class, uint32(0x10001)},
		{"CgroupClassID ok", classOK, true},
		{"SecurityContext", string(p.SecurityContext()), "unlabeled"},
		{"FullLen", p.FullLen(), 70000},
		{"Truncated", p.Truncated(), true},
		{"SKBInfo", p.SKBInfo(), ChecksumNotReady | SegmentationPending},
		{"Payload", string(p.Payload()), string(udpPacket)},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestAbsentAttributes(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv6, 0, attr{nfqmsg.AttrPacketHdr, packetHdr(1,
		etherTypeIPv6, HookOutput)}))
	if err != nil {
		t.Fatal(err)
	}
	_, priority := p.Priority()
	_, uid := p.UID()
	_, gid := p.GID()
	_, class := p.CgroupClassID()
	_, vlan := p.VLAN()
	_, stamp := p.Time()
	if priority || uid || gid || class || vlan || stamp {
		t.Error("an absent attribute is reported as present")
	}
	if p.Mark() != 0 || p.InDev() != 0 || p.OutDevName() != "" || p.HardwareAddr() != nil ||
		p.LinkHeader() != nil ||
		p.SecurityContext() != nil || p.Payload() != nil || p.FullLen() != 0 || p.Truncated() ||
		p.SKBInfo() != 0 {
		t.Error("an absent attribute is not zero")
	}
	if err := p.SetPayload(udpPacket); !errors.Is(err, ErrTruncated) {
		t.Errorf("SetPayload without a payload: %v", err)
	}
}

// TestMalformedMessages: nothing but an error comes of them, and the id if it is there.
func TestMalformedMessages(t *testing.T) {
	hdr := attr{nfqmsg.AttrPacketHdr, packetHdr(7, etherTypeIPv4, HookInput)}
	for _, c := range []struct {
		name string
		msg  []byte
		id   bool
	}{
		{"no attributes", packetMessage(FamilyIPv4, 1), false},
		{"no packet header", packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrMark, be32(1)}), false},
		{"short packet header", packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, be32(7)}), true},
		{"short mark", packetMessage(FamilyIPv4, 1, hdr, attr{nfqmsg.AttrMark, be16(1)}), true},
		{"short timestamp", packetMessage(FamilyIPv4, 1, hdr, attr{nfqmsg.AttrTimestamp, be32(1)}), true},
		{"attribute beyond the end", append(packetMessage(FamilyIPv4, 1, hdr), 0, 0xff, 0xff, 0xff,
			0xff), true},
		{"attribute shorter than its header", append(packetMessage(FamilyIPv4, 1, hdr), 0, 0, 0, 0, 0),
			true},
	} {
		if _, err := decoded(c.msg); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
		if id, ok := nfqmsg.PacketID(c.msg); ok != c.id || ok && id != 7 {
			t.Errorf("%s: id %d, %v", c.name, id, ok)
		}
	}
}

// TestHardwareAddrLength: an address longer than its field is cut.
func TestHardwareAddrLength(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)},
		attr{nfqmsg.AttrHWAddr, []byte{0xff, 0xff, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}}))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.HardwareAddr(); len(got) != 8 {
		t.Errorf("address of %d bytes", len(got))
	}
}

// TestPayloadRoom: appending to the payload stays in the slot, and spares what does
// not belong to the packet.
func TestPayloadRoom(t *testing.T) {
	p, err := decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)}, attr{nfqmsg.AttrPayload, udpPacket}))
	if err != nil {
		t.Fatal(err)
	}
	grown := append(p.Payload(), "more"...)
	if &grown[0] != &p.Payload()[0] {
		t.Error("appending to the payload moved it")
	}
	if err := p.SetPayload(grown); err != nil {
		t.Fatal(err)
	}
	if &p.Payload()[0] != &grown[0] || binary.BigEndian.Uint16(grown[2:]) != 34 {
		t.Error("the payload was copied, or its length is not set")
	}
	// A message as no kernel sends it: something behind the payload.
	p, err = decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)},
		attr{nfqmsg.AttrPayload, udpPacket}, attr{nfqmsg.AttrMark, be32(5)}))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(p.Payload(), "overwrites what follows"...)
	if p.Mark() != 5 {
		t.Errorf("mark %d, want 5", p.Mark())
	}
}

func TestSetLinkLayer(t *testing.T) {
	p, err := decoded(everything())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetLinkHeader([]byte("thirteen byte")); err == nil {
		t.Error("a shorter link header was taken")
	}
	if err := p.SetLinkHeader([]byte("FOURTEEN BYTES")); err != nil {
		t.Error(err)
	}
	if err := p.SetVLAN(VLAN{TCI: 1}); err == nil {
		t.Error("a tag without protocol was taken")
	}
	for _, protocol := range []uint16{0x8100, 0x88a8} {
		if err := p.SetVLAN(VLAN{TCI: 1, Protocol: protocol}); err != nil {
			t.Error(err)
		}
	}
	p, err = decoded(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr, packetHdr(7,
		etherTypeIPv4, HookInput)}))
	if err != nil {
		t.Fatal(err)
	}
	if p.SetLinkHeader(nil) == nil || p.SetVLAN(VLAN{}) == nil {
		t.Error("link-layer edits were taken for a packet that is not of the bridge family")
	}
}

func TestClone(t *testing.T) {
	msg := everything()
	slot := bytes.Clone(msg)
	p := new(Packet)
	if err := p.reset(nil, slot, slot); err != nil {
		t.Fatal(err)
	}
	p.SetMark(1)
	c := p.Clone()
	clear(slot)
	if c.ID() != 0x01020304 || string(c.Payload()) != string(udpPacket) || c.Mark() != 1 ||
		string(c.LinkHeader()) != "fourteen bytes" {
		t.Error("the clone changed with the original")
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(everything())
	f.Add(packetMessage(FamilyIPv4, 1, attr{nfqmsg.AttrPacketHdr,
		packetHdr(math.MaxUint32, etherTypeIPv4, HookInput)}, attr{nfqmsg.AttrPayload, udpPacket}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < 20 {
			return
		}
		p := new(Packet)
		if p.reset(nil, msg, msg) != nil {
			nfqmsg.PacketID(msg)
			return
		}
		p.VLAN()
		p.HardwareAddr()
		p.SecurityContext()
		p.Time()
		if len(p.Payload()) > len(msg) || p.FullLen() < 0 {
			t.Fatal("payload beyond the message")
		}
		before := bytes.Clone(msg)
		if p.SetPayload(p.Payload()) != nil && !bytes.Equal(before, msg) {
			t.Fatal("a refused payload was changed")
		}
		all, _ := verdictAttrs(t, p)
		if got, sent := all[nfqmsg.AttrPayload]; sent && !bytes.Equal(got, p.Payload()) {
			t.Fatalf("the verdict has the payload %x, want %x", got, p.Payload())
		}
	})
}
