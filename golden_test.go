// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Golden is a message of a real kernel and what it means, as text: a line for each
// thing the kernel told, an empty line, and the bytes in hexadecimal. The kernel tests
// print it when asked to, see testdata/packets/README.md.
func Golden(p *Packet) string {
	return describe(p) + "\n" + hex.Dump(p.msg)
}

// describe tells all that a packet's accessors do, but for what differs from run to run.
func describe(p *Packet) string {
	var b strings.Builder
	line := func(name string, present bool, value any) {
		if present {
			fmt.Fprintf(&b, "%s: %v\n", name, value)
		}
	}
	order := "little"
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = "big"
	}
	line("byte order", true, order)
	line("id", true, p.ID())
	line("queue", true, p.Queue())
	line("family", true, p.Family())
	line("hook", true, p.Hook())
	line("ethertype", true, fmt.Sprintf("%#04x", p.EtherType()))
	line("in", p.InDev() != 0, p.InDev())
	line("out", p.OutDev() != 0, p.OutDev())
	line("physical in", p.PhysInDev() != 0, p.PhysInDev())
	line("physical out", p.PhysOutDev() != 0, p.PhysOutDev())
	line("mark", p.Mark() != 0, p.Mark())
	priority, ok := p.Priority()
	line("priority", ok, priority)
	line("hardware address", p.HardwareAddr() != nil, p.HardwareAddr())
	vlan, ok := p.VLAN()
	line("vlan", ok, fmt.Sprintf("%d protocol %#04x", vlan.ID(), vlan.Protocol))
	line("link header", p.LinkHeader() != nil, hex.EncodeToString(p.LinkHeader()))
	stamp, ok := p.Time()
	line("time", ok, stamp.UTC())
	uid, ok := p.UID()
	line("uid", ok, uid)
	gid, ok := p.GID()
	line("gid", ok, gid)
	class, ok := p.CgroupClassID()
	line("cgroup class", ok, class)
	line("security context", p.SecurityContext() != nil, string(p.SecurityContext()))
	line("skb info", p.SKBInfo() != 0, p.SKBInfo())
	line("length", true, p.FullLen())
	line("copied", true, len(p.Payload()))
	flow, ok := p.Flow()
	line("flow", ok, fmt.Sprintf("%+v", flow))
	return b.String()
}

// TestGolden decodes messages that kernels have sent and encodes them again.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/packets/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	decoded := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, dump, ok := strings.Cut(string(text), "\n\n")
		if !ok {
			t.Errorf("%s: no empty line", file)
			continue
		}
		msg := undump(t, file, dump)
		if int(binary.NativeEndian.Uint32(msg)) != len(msg) {
			continue // from a machine of the other byte order
		}
		decoded++
		p := new(Packet)
		if err := p.reset(nil, msg, msg); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got := describe(p); got != want+"\n" {
			t.Errorf("%s: decoded as\n%s, want\n%s", file, got, want)
		}
		var all []attr
		for rest := msg[20:]; ; {
			typ, data, next, ok := nlwire.NextAttr(rest)
			if !ok {
				break
			}
			if typ == attrVLAN || typ == attrCT {
				typ |= nlwire.Nested
			}
			all, rest = append(all, attr{typ, data}), next
		}
		if got := packetMessage(p.Family(), p.Queue(), all...); !bytes.Equal(got, msg) {
			t.Errorf("%s: encoded again as\n%s", file, hex.Dump(got))
		}
	}
	if decoded == 0 {
		t.Error("no message of this machine's byte order")
	}
}

// undump reads what hex.Dump wrote.
func undump(t *testing.T, file, dump string) (b []byte) {
	t.Helper()
	for line := range strings.Lines(dump) {
		if len(line) < 10 {
			continue // the end
		}
		columns, _, _ := strings.Cut(line[8:], "|")
		part, err := hex.DecodeString(strings.Join(strings.Fields(columns), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		b = append(b, part...)
	}
	return b
}
