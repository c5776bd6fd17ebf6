// SPDX-License-Identifier: GPL-2.0-or-later

package pcapng

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng/pcapngtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var start = time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC)

// records are packets that meet each way of writing.
func records() []*packetview.Record {
	udp := func(src, dst string) []byte {
		return nfqueuetest.UDP(netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst),
			[]byte("hello"))
	}
	v4, v6 := udp("192.0.2.1:40000", "192.0.2.2:9"), udp("[2001:db8::1]:40000", "[2001:db8::2]:9")
	mark := uint32(7)
	ethernet := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	return []*packetview.Record{
		{Time: start, Queue: 3, ID: 1, Verdict: nfqueue.Accept, Family: nfqueue.FamilyIPv4,
			Hook: nfqueue.HookOutput,
			Out:  "eth0", Mark: 0x2a, Owner: &packetview.Owner{UID: 1000, GID: 100}, Data: v4,
			Length: len(v4)},
		{Time: start.Add(1), ID: 2, Verdict: nfqueue.ToQueueOrAccept(4), SetMark: &mark,
			Family: nfqueue.FamilyIPv6, Hook: nfqueue.HookForward,
			In: "eth1", Out: "eth0", Data: v6, Length: len(v6), Missed: 5},
		{Time: start.Add(2), ID: 3, Verdict: nfqueue.Drop, Family: nfqueue.FamilyBridge,
			Hook: nfqueue.HookPrerouting,
			In:   "br0", PhysIn: "port 1", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
			LinkHeader: ethernet, Data: v4, Length: len(v4)},
		{Time: start.Add(3), ID: 4, Verdict: nfqueue.Accept, Family: nfqueue.FamilyBridge,
			Hook: nfqueue.HookPostrouting,
			Out:  "br0", PhysOut: "port 1", LinkHeader: ethernet,
			VLAN: &nfqueue.VLAN{TCI: 0x6064, Protocol: 0x8100},
			Data: v4[:28], Length: len(v4), SecurityContext: []byte("a b\n"),
			Conntrack: &packetview.Conntrack{State: "new", Mark: 1}},
		{Time: start.Add(4), Unqueued: true, Family: nfqueue.FamilyIPv4, Hook: nfqueue.HookInput,
			In: "eth0", Data: v4, Length: len(v4)},
	}
}

// comments are what records must say.
var comments = []string{
	"verdict=accept queue=3 id=1 hook=output family=ip mark=0x2a out=eth0 uid=1000 gid=100",
	"verdict=queue_4_bypass queue=0 id=2 hook=forward family=ip6 mark=0x0 set-mark=0x7 in=eth1 out=eth0",
	"verdict=drop queue=0 id=3 hook=prerouting family=bridge mark=0x0 in=br0 phys-in=port_1 hwaddr=02:00:00:00:00:01",
	"verdict=accept queue=0 id=4 hook=postrouting family=bridge mark=0x0 out=br0 phys-out=port_1 secctx=a_b_ ct=new ct-mark=0x1",
	"hook=input family=ip mark=0x0 in=eth0",
}

func write(t *testing.T, all []*packetview.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, 100, "nfq test", "a rule")
	for _, r := range all {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second one adds nothing
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestWriterReadBack(t *testing.T) {
	all := records()
	r, err := pcapgo.NewNgReader(bytes.NewReader(write(t, all)),
		pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.SectionInfo(); s.Application != "nfq test" || s.Comment != "a rule" {
		t.Errorf("section %+v", s)
	}
	want := []struct {
		device    string
		typ       layers.LinkType
		direction pcapgo.NgEpbFlag
		header    int
	}{
		{"eth0", 12, pcapgo.NgEpbFlagDirectionOutbound, 0},
		{"eth1", 12, pcapgo.NgEpbFlagDirectionInbound, 0},
		{"port 1", layers.LinkTypeEthernet, pcapgo.NgEpbFlagDirectionInbound, 14},
		{"port 1", layers.LinkTypeEthernet, pcapgo.NgEpbFlagDirectionOutbound, 18},
		{"eth0", 12, pcapgo.NgEpbFlagDirectionInbound, 0},
	}
	for i, want := range want {
		data, ci, options, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		link, err := r.Interface(ci.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		record := all[i]
		if link.Name != want.device || link.LinkType != want.typ {
			t.Errorf("packet %d: interface %s, link type %v; want %+v", i, link.Name, link.LinkType, want)
		}
		if !ci.Timestamp.Equal(record.Time) || ci.Length != record.Length+want.header ||
			!bytes.Equal(data[want.header:], record.Data) {
			t.Errorf("packet %d: %+v, %x", i, ci, data)
		}
		if options.Flags == nil || options.Flags.Direction != want.direction {
			t.Errorf("packet %d: flags %+v, want direction %v", i, options.Flags, want.direction)
		}
		if !slices.Equal(options.Comments, comments[i:i+1]) {
			t.Errorf("packet %d: comments %q, want %q", i, options.Comments, comments[i])
		}
		if record.Unqueued != (options.Queue == nil) || options.Queue != nil &&
			*options.Queue != uint32(record.Queue) {
			t.Errorf("packet %d: queue %v, want %d", i, options.Queue, record.Queue)
		}
		if missed := record.Missed; missed != 0 && (options.DropCount == nil ||
			*options.DropCount != missed) || missed == 0 && options.DropCount != nil {
			t.Errorf("packet %d: dropcount %v, want %d", i, options.DropCount, missed)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %v", err)
	}
	if n := r.NInterfaces(); n != 3 {
		t.Errorf("%d interfaces, want 3", n)
	}
}

func TestWriterTshark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(file, write(t, records()), 0o644); err != nil {
		t.Fatal(err)
	}
	got := pcapngtest.Tshark(t, file, "frame.time_epoch", "frame.interface_name", "frame.protocols",
		"frame.len", "frame.cap_len",
		"frame.packet_flags_direction", "frame.comment", "eth.src", "vlan.id", "udp.dstport",
		"frame.drop_count")
	const seconds = "1767366245.12345678"
	want := [][]string{
		{seconds + "9", "eth0", "raw:ip:udp:data", "33", "33", "0x00000002", comments[0], "", "", "9",
			""},
		{"1767366245.123456790", "eth1", "raw:ipv6:udp:data", "53", "53", "0x00000001", comments[1], "",
			"", "9", "5"},
		{"1767366245.123456791", "port 1", "eth:ethertype:ip:udp:data", "47", "47", "0x00000001",
			comments[2], "02:00:00:00:00:01", "", "9", ""},
		{"1767366245.123456792", "port 1", "eth:ethertype:vlan:ethertype:ip:udp", "51", "46",
			"0x00000002", comments[3], "02:00:00:00:00:01", "100", "9", ""},
		{"1767366245.123456793", "eth0", "raw:ip:udp:data", "33", "33", "0x00000001", comments[4], "", "",
			"9", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("tshark sees %d packets, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("packet %d:\n got %q\nwant %q", i, got[i], want[i])
		}
	}
}

func TestWriterEmpty(t *testing.T) {
	file := write(t, nil)
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("packet in an empty file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "empty.pcapng")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := pcapngtest.Tshark(t, path, "frame.number"); len(got) != 0 {
		t.Errorf("tshark sees %q", got)
	}
}

var errFull = errors.New("no space")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestWriterFails(t *testing.T) {
	w := NewWriter(fullDisk{}, 0, "", "")
	var err error
	for range 1000 {
		if err = w.Write(records()[0]); err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Flush()); !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
}
