// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// privileges is what the process may do in a network namespace.
type privileges struct {
	queue   bool // bind queues, and read and make rules
	initial bool // in the initial user namespace, so that limits of buffers can be exceeded
}

// privileges sends requests that change nothing: the kernel checks the capability first.
func (r *Report) privileges() privileges {
	p := privileges{initial: inInitialUserNS()}
	where := "a user namespace of its own"
	if p.initial {
		where = "the initial user namespace"
	}
	who := fmt.Sprintf("user %d in %s", os.Geteuid(), where)
	const check = "privileges"
	err := request(0, commandPFBind)
	switch {
	case err == nil:
		p.queue = true
		r.add(check, OK, "", "%s may use queues and rules (CAP_NET_ADMIN)", who)
	case errors.Is(err, unix.EPERM):
		r.add(
			check,
			Warning,
			"run as root; or grant it with setcap cap_net_admin+ep FILE, or AmbientCapabilities=CAP_NET_ADMIN in a systemd unit; or run in a user and network namespace (unshare -Urn)",
			"%s may not use queues and rules: no CAP_NET_ADMIN in the user namespace that owns the network namespace",
			who,
		)
	default:
		r.add(check, Unknown, "modprobe nfnetlink_queue", "what %s may do: %v", who, err)
	}
	return p
}

// inInitialUserNS reports whether all user ids are mapped to themselves, as user_namespaces(7) says
// of the initial one.
func inInitialUserNS() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// commandPFBind is a command of CONFIG that has done nothing since Linux 3.8:
// NFQNL_CFG_CMD_PF_BIND.
const commandPFBind = 3

// request sends CONFIG for a queue in the network namespace of the calling thread, with a command
// unless that is 0.
func request(queue uint16, command uint8) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	const config = unix.NFNL_SUBSYS_QUEUE<<8 | 2 // NFQNL_MSG_CONFIG
	data := []byte{0, 0, byte(queue >> 8), byte(queue)}
	if command != 0 {
		attr, err := netlink.MarshalAttributes(
			[]netlink.Attribute{{Type: 1, Data: []byte{command, 0, 0, 0}}},
		) // NFQA_CFG_CMD
		if err != nil {
			return err
		}
		data = append(data, attr...)
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: config, Flags: netlink.Request | netlink.Acknowledge},
		Data:   data,
	})
	return err
}
