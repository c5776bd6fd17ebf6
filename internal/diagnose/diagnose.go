// SPDX-License-Identifier: GPL-2.0-or-later

// Package diagnose finds out why the kernel refuses to bind a queue.
package diagnose

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
)

// ErrQueueInUse means that another socket has bound the queue.
var ErrQueueInUse = errors.New("queue is in use")

// Unsupported reports whether err is how a kernel refuses a flag that it does not know.
func Unsupported(err error) bool {
	return errors.Is(err, kernel.Error(kernel.EOPNOTSUPP)) ||
		errors.Is(err, kernel.Error(kernel.EINVAL))
}

// Bind says why binding a queue with flags (NFQA_CFG_F_*) failed with err, and what helps. ask
// makes another request, and owner returns the port id of the socket that has bound the queue.
func Bind(err error, flags uint32, ask func(nfqmsg.Change) error,
	owner func() (uint32, bool)) error {
	switch {
	case errors.Is(err, kernel.Error(kernel.EPERM)):
		return permission(err, ask, owner)
	case Unsupported(err):
		return unsupported(err, flags, ask)
	}
	return err
}

// permission tells the two causes of EPERM apart: the kernel answers a PF_BIND after it has
// checked the capability and before it looks for an owner.
func permission(err error, ask func(nfqmsg.Change) error, owner func() (uint32, bool)) error {
	if ask(nfqmsg.Change{Cmd: nfqmsg.CmdPFBind}) != nil {
		return fmt.Errorf("CAP_NET_ADMIN is needed, in the user namespace that owns the network "+
			"namespace; run as root, grant it with setcap cap_net_admin+ep, or set "+
			"AmbientCapabilities in the systemd unit: %w", err)
	}
	who := "the socket of another process"
	if portID, ok := owner(); ok {
		who = fmt.Sprintf("the socket with netlink port id %d, often the process id,", portID)
	}
	return fmt.Errorf("%w: %s has bound it; end that program ('nfq stat' shows it), "+
		"or open another queue", ErrQueueInUse, who)
}

// flagNames are the kernel's flags from bit 0 on, and what a kernel needs that refuses one.
var flagNames = []struct{ name, hint string }{
	{"fail-open", ""},
	{"conntrack", "conntrack needs CONFIG_NETFILTER_NETLINK_GLUE_CT and the module " +
		"nf_conntrack_netlink"},
	{"gso", "set the flag NoGSO"},
	{"uid-gid", ""},
	{"secctx", "secctx needs CONFIG_NETWORK_SECMARK"},
}

// unsupported names the flags that the kernel does not know. It checks flags before it looks
// for the queue, so that asking changes nothing.
func unsupported(err error, flags uint32, ask func(nfqmsg.Change) error) error {
	if ask(nfqmsg.Change{Cmd: nfqmsg.CmdPFBind}) != nil {
		return fmt.Errorf("this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE); "+
			"load it with modprobe nfnetlink_queue: %w: %w", errors.ErrUnsupported, err)
	}
	var refused, hints []string
	for i, f := range flagNames {
		bit := uint32(1) << i
		if flags&bit == 0 || !Unsupported(ask(nfqmsg.Change{Mask: bit, Flags: bit})) {
			continue
		}
		refused = append(refused, f.name)
		if f.hint != "" {
			hints = append(hints, f.hint)
		}
	}
	if refused == nil {
		return err
	}
	what := strings.Join(refused, "|")
	if hints != nil {
		what += " (" + strings.Join(hints, "; ") + ")"
	}
	return fmt.Errorf("this kernel does not support the flags %s: %w: %w", what, errors.ErrUnsupported,
		err)
}
