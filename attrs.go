// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// data returns the data of an attribute, nil if it is absent.
func (p *Packet) data(attr uint) []byte { return p.attrs.Data(p.msg, attr) }

func (p *Packet) uint32(attr uint) (v uint32, ok bool) { return p.attrs.Uint32(p.msg, attr) }

func (p *Packet) dev(attr uint) int {
	v, _ := p.uint32(attr)
	return int(v)
}

// InDev returns the index of the interface that received the packet, 0 for none. For a bridged
// packet it is the bridge (NFQA_IFINDEX_INDEV).
func (p *Packet) InDev() int { return p.dev(nfqmsg.AttrInDev) }

// OutDev returns the index of the interface that will send the packet, 0 for none
// (NFQA_IFINDEX_OUTDEV).
func (p *Packet) OutDev() int { return p.dev(nfqmsg.AttrOutDev) }

// PhysInDev returns the index of the bridge port that received a bridged packet, 0 for none
// (NFQA_IFINDEX_PHYSINDEV).
func (p *Packet) PhysInDev() int { return p.dev(nfqmsg.AttrPhysInDev) }

// PhysOutDev returns the index of the bridge port that will send a bridged packet, 0 for none
// (NFQA_IFINDEX_PHYSOUTDEV).
func (p *Packet) PhysOutDev() int { return p.dev(nfqmsg.AttrPhysOutDev) }

// InDevName returns the name of InDev in the network namespace of the queue, "" for none. It asks
// the kernel at most once a second for each interface.
func (p *Packet) InDevName() string { return p.queue.link(p.InDev()).Name }

// OutDevName returns the name of OutDev as InDevName does.
func (p *Packet) OutDevName() string { return p.queue.link(p.OutDev()).Name }

// PhysInDevName returns the name of PhysInDev as InDevName does.
func (p *Packet) PhysInDevName() string { return p.queue.link(p.PhysInDev()).Name }

// PhysOutDevName returns the name of PhysOutDev as InDevName does.
func (p *Packet) PhysOutDevName() string { return p.queue.link(p.PhysOutDev()).Name }

// HardwareAddr returns the link-layer source address of a received packet, nil for none. It is
// valid until the handler returns (NFQA_HWADDR).
func (p *Packet) HardwareAddr() net.HardwareAddr {
	d := p.data(nfqmsg.AttrHWAddr)
	if d == nil {
		return nil
	}
	n := min(int(binary.BigEndian.Uint16(d)), 8) // hw_addr of struct nfqnl_msg_packet_hw
	return net.HardwareAddr(d[4 : 4+n : 4+n])
}

// Time returns when the packet was received. The kernel sends it only at the hooks up to
// HookForward, and only while something on the system has receive timestamps enabled
// (NFQA_TIMESTAMP).
func (p *Packet) Time() (t time.Time, ok bool) {
	d := p.data(nfqmsg.AttrTimestamp)
	if d == nil {
		return time.Time{}, false
	}
	sec, usec := binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:])
	return time.Unix(int64(sec), int64(usec)*1000), true
}

// UID returns the user id, in the initial user namespace, under which the packet's socket was
// opened. Needs Flags UIDGID (NFQA_UID).
//
// At HookOutput and HookPostrouting that is the socket that sent the packet. At HookInput it is the
// socket that will receive it: before delivery the kernel knows it only for an established TCP
// connection or a connected UDP socket, and only with the sysctl net.ipv4.ip_early_demux. All other
// packets have no socket, and UID reports false
// (nfqnl_put_sk_uidgid).
func (p *Packet) UID() (uid uint32, ok bool) { return p.uint32(nfqmsg.AttrUID) }

// GID returns the group id that belongs to UID (NFQA_GID).
func (p *Packet) GID() (gid uint32, ok bool) { return p.uint32(nfqmsg.AttrGID) }

// CgroupClassID returns the net_cls class of the socket of UID, if it is not 0. Needs Linux 6.4
// (NFQA_CGROUP_CLASSID).
func (p *Packet) CgroupClassID() (id uint32, ok bool) { return p.uint32(nfqmsg.AttrCgroupClassID) }

// SecurityContext returns the security context of the packet without SELinux's terminating NUL, nil
// for none. Needs Flags SecCtx. It is valid until the handler returns (NFQA_SECCTX).
func (p *Packet) SecurityContext() []byte {
	d := p.data(nfqmsg.AttrSecCtx)
	if n := len(d); n > 0 && d[n-1] == 0 {
		d = d[:n-1]
	}
	return d
}

// SKBInfo returns what the kernel has yet to do with the packet (NFQA_SKB_INFO).
func (p *Packet) SKBInfo() SKBInfo {
	v, _ := p.uint32(nfqmsg.AttrSKBInfo)
	return SKBInfo(v)
}
