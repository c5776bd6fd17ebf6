// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// appendMeta appends everything that is known of a packet, in indented lines by subject. What does
// not apply is left out.
func appendMeta(b []byte, r *Record, d *decoded) []byte {
	paragraph := func(items []string) {
		if len(items) > 0 {
			b = fmt.Appendf(b, "\t%s\n", strings.Join(items, ", "))
		}
	}
	paragraph(r.queueItems())
	paragraph(r.linkItems())
	paragraph(r.senderItems())
	if r.Conntrack != nil {
		paragraph(r.Conntrack.items())
	}
	paragraph(d.networkItems(r.Data))
	return b
}

// list collects items that apply.
type list []string

func (l *list) add(applies bool, format string, args ...any) {
	if applies {
		*l = append(*l, fmt.Sprintf(format, args...))
	}
}

func (r *Record) queueItems() []string {
	var l list
	if r.Unqueued {
		l.add(true, "not queued")
	} else {
		l.add(true, "queue %d, id %d, verdict %v", r.Queue, r.ID, r.Verdict)
	}
	if r.SetMark != nil {
		l.add(true, "sets mark %#x", *r.SetMark)
	}
	l.add(r.Family != 0, "family %v", r.Family)
	l.add(r.LinkType == "", "ethertype 0x%04x", r.EtherType)
	l.add(true, "mark %#x", r.Mark)
	l.add(r.Priority != 0, "priority %d", r.Priority)
	l.add(r.SKBInfo != 0, "skb %v", r.SKBInfo)
	l.add(r.Took != 0, "handled in %v", r.Took)
	l.add(len(r.Data) < r.Length, "%d of %d bytes copied", len(r.Data), r.Length)
	return l
}

func (r *Record) linkItems() []string {
	var l list
	l.add(r.In != "", "in %s", printable(r.In))
	l.add(r.PhysIn != "", "port %s", printable(r.PhysIn))
	l.add(r.Out != "", "out %s", printable(r.Out))
	l.add(r.PhysOut != "", "port %s", printable(r.PhysOut))
	l.add(len(r.HardwareAddr) > 0, "from %v", r.HardwareAddr)
	l.add(len(r.LinkHeader) > 0, "link header %s", hex.EncodeToString(r.LinkHeader))
	if v := r.VLAN; v != nil {
		l.add(true, "vlan %d priority %d protocol 0x%04x", v.ID(), v.TCI>>13, v.Protocol)
	}
	return l
}

func (r *Record) senderItems() []string {
	var l list
	if r.Owner != nil {
		l.add(true, "uid %d, gid %d", r.Owner.UID, r.Owner.GID)
	}
	for _, p := range r.Processes {
		l.add(true, "process %s (%d)", printable(p.Name), p.PID)
		l.add(p.Cgroup != "", "cgroup %s", printable(p.Cgroup))
	}
	l.add(r.CgroupClassID != 0, "net_cls class %#x", r.CgroupClassID)
	l.add(len(r.SecurityContext) > 0, "security context %s", printable(r.SecurityContext))
	return l
}

func (c *Conntrack) items() []string {
	var l list
	l.add(true, "conntrack %s", c.State)
	l.add(c.ID != 0, "id %#x", c.ID)
	l.add(c.Original != "", "%s", c.Original)
	l.add(c.Reply != "", "reply %s", c.Reply)
	l.add(c.Master != "", "expected by %s", c.Master)
	l.add(c.Status != "", "status %s", c.Status)
	l.add(c.Protocol != "", "state %s", c.Protocol)
	l.add(c.Mark != 0, "mark %#x", c.Mark)
	l.add(c.Zone != 0, "zone %d", c.Zone)
	l.add(c.Labels != "", "labels %s", c.Labels)
	l.add(c.Timeout != "", "timeout %s", c.Timeout)
	l.add(c.Helper != "", "helper %s", c.Helper)
	l.add(c.SecCtx != "", "security context %s", c.SecCtx)
	l.add(c.Counters != "", "%s", c.Counters)
	return l
}

// networkItems describes the IP header (RFC 791, RFC 8200).
func (d *decoded) networkItems(data []byte) []string {
	var l list
	switch d.Version {
	case 4:
		l.add(true, "tos %#x, ttl %d, id %d", data[1], data[8], d.layout.ID)
		l.add(data[6]&0x40 != 0, "do not fragment")
		l.add(data[6]&0x20 != 0, "more fragments")
		l.add(d.layout.HeaderLen > 20, "options %s",
			hex.EncodeToString(data[20:min(max(d.layout.HeaderLen, 20), len(data))]))
	case 6:
		l.add(true, "class %#x, flow label %#x, hop limit %d", data[0]<<4|data[1]>>4,
			uint32(data[1]&0xf)<<16|uint32(data[2])<<8|uint32(data[3]), data[7])
		l.add(d.layout.TransportHeaderOffset > d.layout.HeaderLen, "extension headers of %d bytes",
			d.layout.TransportHeaderOffset-d.layout.HeaderLen)
	}
	l.add(d.Version != 0, "length %d", d.layout.TotalLen)
	return l
}
