// SPDX-License-Identifier: GPL-2.0-or-later

package pcapng

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
)

// Comment says in words of the form key=value what a file has no field for:
//
//	verdict=accept queue=0 id=7 hook=forward family=ip mark=0x2a in=eth0 out=eth1 uid=1000 gid=100 ct=new
//
// What is not printable in a value, and spaces, are written as "_". What does not apply is left
// out, but for the mark.
func Comment(r *packetview.Record) string {
	var words []string
	add := func(applies bool, key, format string, args ...any) {
		if applies {
			words = append(words, key+"="+strings.Map(oneWord, fmt.Sprintf(format, args...)))
		}
	}
	add(!r.Unqueued, "verdict", "%v", r.Verdict)
	add(!r.Unqueued, "queue", "%d", r.Queue)
	add(!r.Unqueued, "id", "%d", r.ID)
	add(true, "hook", "%v", r.Hook)
	add(true, "family", "%v", r.Family)
	add(true, "mark", "%#x", r.Mark)
	if r.SetMark != nil {
		add(true, "set-mark", "%#x", *r.SetMark)
	}
	add(r.In != "", "in", "%s", r.In)
	add(r.Out != "", "out", "%s", r.Out)
	add(r.PhysIn != "", "phys-in", "%s", r.PhysIn)
	add(r.PhysOut != "", "phys-out", "%s", r.PhysOut)
	if r.Owner != nil {
		add(true, "uid", "%d", r.Owner.UID)
		add(true, "gid", "%d", r.Owner.GID)
	}
	add(r.Priority != 0, "priority", "%d", r.Priority)
	add(len(r.HardwareAddr) > 0, "hwaddr", "%v", r.HardwareAddr)
	add(r.SKBInfo != 0, "skb", "%v", r.SKBInfo)
	add(len(r.SecurityContext) > 0, "secctx", "%s", r.SecurityContext)
	add(r.CgroupClassID != 0, "net-cls", "%#x", r.CgroupClassID)
	if c := r.Conntrack; c != nil {
		add(true, "ct", "%s", c.State)
		add(c.Mark != 0, "ct-mark", "%#x", c.Mark)
	}
	return strings.Join(words, " ")
}

func oneWord(c rune) rune {
	if c == ' ' || !unicode.IsPrint(c) {
		return '_'
	}
	return c
}
