// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// bind binds and configures the queue with one message.
func (q *Queue) bind() error {
	c := nfqmsg.Change{
		Cmd:    nfqmsg.CmdBind,
		Copy:   q.cfg.copy(),
		MaxLen: &q.cfg.MaxLen,
		Mask:   uint32(q.cfg.Flags),
		Flags:  uint32(q.cfg.Flags),
	}
	err := q.configure(c)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kernel.Error(kernel.EPERM)):
		return q.explainPermission(err)
	case errors.Is(err, kernel.Error(kernel.EOPNOTSUPP)), errors.Is(err, kernel.Error(kernel.EINVAL)):
		return q.explainUnsupported(err)
	}
	return err
}

// explainPermission tells the two causes of EPERM apart: the kernel answers a
// PF_BIND after it has checked the capability and before it looks for an owner.
func (q *Queue) explainPermission(err error) error {
	if q.configure(nfqmsg.Change{Cmd: nfqmsg.CmdPFBind}) != nil {
		return fmt.Errorf("CAP_NET_ADMIN is needed, in the user namespace that owns the network namespace; run as root, grant it with setcap cap_net_admin+ep, or set AmbientCapabilities in the systemd unit: %w", err)
	}
	if owner, ok := q.owner(); ok {
		return fmt.Errorf("%w: the socket with netlink port id %d, often the process id, has bound it; end that program ('nfq stat' shows it), or take another queue", ErrQueueInUse, owner)
	}
	return fmt.Errorf("%w: the socket of another process has bound it; end that program ('nfq stat' shows it), or take another queue", ErrQueueInUse)
}

// owner returns the port id of the socket that has bound the queue.
func (q *Queue) owner() (portID uint32, ok bool) {
	info, err := q.kernelInfo()
	return info.PortID, err == nil
}

// explainUnsupported names the flags that the kernel does not know. It checks flags
// before it looks for the queue, so that asking changes nothing.
func (q *Queue) explainUnsupported(err error) error {
	if q.configure(nfqmsg.Change{Cmd: nfqmsg.CmdPFBind}) != nil {
		return fmt.Errorf("this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE); load it with modprobe nfnetlink_queue: %w: %w", errors.ErrUnsupported, err)
	}
	var refused Flags
	for f := Flags(1); f <= allFlags; f <<= 1 {
		if q.cfg.Flags&f == 0 {
			continue
		}
		if err := q.configure(nfqmsg.Change{Mask: uint32(f), Flags: uint32(f)}); errors.Is(err, kernel.Error(kernel.EOPNOTSUPP)) || errors.Is(err, kernel.Error(kernel.EINVAL)) {
			refused |= f
		}
	}
	if refused == 0 {
		return err
	}
	hint := ""
	if refused&Conntrack != 0 {
		hint += "; conntrack needs CONFIG_NETFILTER_NETLINK_GLUE_CT and the module nf_conntrack_netlink"
	}
	if refused&SecCtx != 0 {
		hint += "; secctx needs CONFIG_NETWORK_SECMARK"
	}
	return fmt.Errorf("this kernel does not support the flags %v%s: %w: %w", refused, hint, errors.ErrUnsupported, err)
}
