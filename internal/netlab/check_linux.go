// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Check tries whether this process can make hosts, and whether packets can be queued in them. The error matches
// errors.ErrUnsupported when the kernel lacks nf_tables, NFQUEUE or a rule for it.
func Check() error {
	h, err := New()
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if err := h.bindQueue(); errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("netlab: the kernel has no NFQUEUE, load nfnetlink_queue (%w): %w", errors.ErrUnsupported, err)
	} else if err != nil {
		return fmt.Errorf("netlab: bind a queue: %w", err)
	}
	_, err = h.queue()
	return err
}

// bindQueue binds queue 0, which vanishes with the socket.
func (h *Host) bindQueue() error {
	const (
		configMsg  = unix.NFNL_SUBSYS_QUEUE<<8 | 2 // NFQNL_MSG_CONFIG
		cfgCmd     = 1                             // NFQA_CFG_CMD
		cfgCmdBind = 1                             // NFQNL_CFG_CMD_BIND
	)
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: h.FD()})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	msg := make([]byte, 4, 12) // struct nfgenmsg: any family, queue 0
	msg = binary.NativeEndian.AppendUint16(msg, 8)
	msg = binary.NativeEndian.AppendUint16(msg, cfgCmd)
	msg = append(msg, cfgCmdBind, 0, 0, 0)
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: configMsg, Flags: netlink.Request | netlink.Acknowledge},
		Data:   msg,
	})
	return err
}
