// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// update rewrites the descriptions in testdata/packets.
var update = flag.Bool("update", false,
	"rewrite the descriptions of the messages in testdata/packets")

// nativeOrder names the byte order of this machine.
func nativeOrder() string {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return "big"
	}
	return "little"
}

// describe tells all that a packet's accessors do, but for what differs from run to run.
func describe(p *Packet) string {
	var b strings.Builder
	line := func(name string, present bool, value any) {
		if present {
			fmt.Fprintf(&b, "%s: %v\n", name, value)
		}
	}
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
	line("flow", ok, flow)
	state, ok := p.ConnState()
	line("connection", ok, state)
	if e, ok := p.Conntrack(); ok {
		entry := reflect.ValueOf(cttest.Tell(e))
		for i := range entry.NumField() {
			field, name := entry.Field(i), entry.Type().Field(i).Name
			switch {
			case strings.HasSuffix(name, "OK"): // the rest shows it
			case field.Kind() == reflect.String:
				line("conntrack "+name, field.Len() > 0, strconv.QuoteToASCII(field.String()))
			default:
				line("conntrack "+name, !field.IsZero(), field)
			}
		}
	}
	return b.String()
}

// TestGolden decodes messages that kernels have sent and encodes them again.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/packets/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	orders := make(map[string]int)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := strings.Cut(string(text), "\n")
			order, hasOrder := strings.CutPrefix(first, "byte order: ")
			want, dump, hasDump := strings.Cut(rest, "\n\n")
			if !hasOrder || !hasDump {
				t.Fatal("no byte order, or no empty line")
			}
			orders[order]++
			msg := undump(t, dump)
			if order != nativeOrder() {
				if err := new(Packet).reset(nil, msg, msg); err == nil {
					t.Error("taken for a message of this machine's byte order")
				}
				reorder(t, msg)
			}
			if *update {
				want = rewriteGolden(t, file, first, dump, msg)
			}
			goldenBothWays(t, msg, want+"\n")
		})
	}
	if orders["little"] == 0 || orders["big"] == 0 || len(orders) != 2 {
		t.Errorf("messages in the byte orders %v, want some in little and in big", orders)
	}
}

// rewriteGolden writes a file of testdata/packets anew, with the description of a message.
func rewriteGolden(t *testing.T, file, first, dump string, msg []byte) (description string) {
	t.Helper()
	p := new(Packet)
	if err := p.reset(nil, msg, msg); err != nil {
		t.Fatal(err)
	}
	description = describe(p)
	if err := os.WriteFile(file, []byte(first+"\n"+description+"\n"+dump), 0o644); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(description, "\n")
}

// goldenBothWays decodes a message, and encodes it again.
func goldenBothWays(t *testing.T, msg []byte, want string) {
	p := new(Packet)
	if err := p.reset(nil, msg, msg); err != nil {
		t.Fatal(err)
	}
	if got := describe(p); got != want {
		t.Errorf("decoded as\n%s, want\n%s", got, want)
	}
	var all []attr
	for rest := msg[messageHeaders:]; ; {
		typ, data, next, ok := nlwire.NextAttr(rest)
		if !ok {
			break
		}
		if typ == nfqmsg.AttrVLAN || typ == nfqmsg.AttrCT {
			typ |= nlwire.Nested
		}
		all, rest = append(all, attr{typ, data}), next
	}
	if got := packetMessage(p.Family(), p.Queue(), all...); !bytes.Equal(got, msg) {
		t.Errorf("encoded again as\n%s", hex.Dump(got))
	}
}

// messageHeaders is the size of struct nlmsghdr and struct nfgenmsg.
const messageHeaders = nlwire.HeaderLen + 4

// reorder gives a message of a machine of the other byte order that of this one. Only the
// headers of netlink are in the order of the machine: what is in attributes, and the
// queue's number in struct nfgenmsg, is in network order.
func reorder(t *testing.T, msg []byte) {
	for _, field := range [][]byte{msg[0:4], msg[4:6], msg[6:8], msg[8:12], msg[12:16]} {
		slices.Reverse(field)
	}
	reorderAttrs(t, msg[messageHeaders:])
}

func reorderAttrs(t *testing.T, b []byte) {
	for len(b) >= nlwire.AttrHeaderLen {
		slices.Reverse(b[0:2])
		slices.Reverse(b[2:4])
		n := int(binary.NativeEndian.Uint16(b))
		if n < nlwire.AttrHeaderLen || n > len(b) {
			t.Fatalf("attribute of %d bytes in %d", n, len(b))
		}
		if binary.NativeEndian.Uint16(b[2:])&nlwire.Nested != 0 {
			reorderAttrs(t, b[nlwire.AttrHeaderLen:n])
		}
		b = b[min(nlwire.Align(n), len(b)):]
	}
}

// undump reads what hex.Dump wrote.
func undump(t *testing.T, dump string) (b []byte) {
	t.Helper()
	for line := range strings.Lines(dump) {
		if len(line) < 10 {
			continue // the end
		}
		columns, _, _ := strings.Cut(line[8:], "|")
		part, err := hex.DecodeString(strings.Join(strings.Fields(columns), ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}
