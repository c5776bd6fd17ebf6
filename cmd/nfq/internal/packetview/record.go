// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/owner"
)

// Record is a packet, what the kernel said about it and what was decided. Its memory
// is its own. Fields that do not apply are zero.
type Record struct {
	Time    time.Time
	Queue   uint16
	ID      uint32
	Verdict nfqueue.Verdict
	SetMark *uint32 // the mark that the verdict sets, nil if it sets none

	// Of a packet from a file.
	Number   int           // in the file, from 1
	Unqueued bool          // no rule has sent it to a queue: Queue, ID and Verdict do not apply
	Took     time.Duration // by the handler
	LinkType string        // the link type that hides the packet, empty if it is known

	Family    nfqueue.Family
	Hook      nfqueue.Hook
	EtherType uint16

	// Names of interfaces, "#" and the index for one that is gone.
	In, Out, PhysIn, PhysOut string

	Mark            uint32 // as the packet had it
	Priority        uint32
	HardwareAddr    net.HardwareAddr // of the sender
	Owner           *Owner
	Processes       []owner.Process // that have the socket, if they were looked for
	CgroupClassID   uint32
	SecurityContext []byte
	SKBInfo         nfqueue.SKBInfo
	VLAN            *nfqueue.VLAN
	LinkHeader      []byte // of the bridge family
	Conntrack       *Conntrack

	Data   []byte // from the network header on, maybe cut
	Length int    // of the whole packet

	// Missed is the number of packets before this one, since the previous Record, that
	// came too fast to be kept.
	Missed uint64
}

// Owner is who opened the socket that sent a packet.
type Owner struct{ UID, GID uint32 }

// Of makes the Record of a packet, before the handler that owns it decides it. The caller sets
// Verdict and SetMark. The time is that of the kernel if it tells, or now.
func Of(p *nfqueue.Packet) *Record {
	r := &Record{
		Queue: p.Queue(), ID: p.ID(), Family: p.Family(), Hook: p.Hook(), EtherType: p.EtherType(),
		In: device(p.InDev(), p.InDevName), Out: device(p.OutDev(), p.OutDevName),
		PhysIn: device(p.PhysInDev(), p.PhysInDevName), PhysOut: device(p.PhysOutDev(), p.PhysOutDevName),
		Mark: p.Mark(), HardwareAddr: slices.Clone(p.HardwareAddr()),
		SecurityContext: bytes.Clone(p.SecurityContext()),
		SKBInfo:         p.SKBInfo(), LinkHeader: bytes.Clone(p.LinkHeader()), Conntrack: conntrackOf(p),
		Data: bytes.Clone(p.Payload()), Length: p.FullLen(),
	}
	var ok bool
	if r.Time, ok = p.Time(); !ok {
		r.Time = time.Now()
	}
	if uid, ok := p.UID(); ok {
		gid, _ := p.GID()
		r.Owner = &Owner{uid, gid}
	}
	r.Priority, _ = p.Priority()
	r.CgroupClassID, _ = p.CgroupClassID()
	if tag, ok := p.VLAN(); ok {
		r.VLAN = &tag
	}
	return r
}

func device(index int, name func() string) string {
	if index == 0 {
		return ""
	}
	if n := name(); n != "" {
		return n
	}
	return "#" + strconv.Itoa(index)
}

// Device returns the interface that the packet is best seen at: that of arrival, or the one by
// which it leaves if it was made here. Bridged packets have the port.
func (r *Record) Device() string {
	for _, name := range []string{r.PhysIn, r.In, r.PhysOut, r.Out} {
		if name != "" {
			return name
		}
	}
	return "none"
}
