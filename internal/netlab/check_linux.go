// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Check tries whether this process can make hosts and queue packets in them. The error matches
// errors.ErrUnsupported if the kernel lacks nf_tables, NFQUEUE or a rule for it.
func Check() error {
	// Check this first: emulators of a processor lack more, and fail in other ways.
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return fmt.Errorf("netlab: the kernel has no nfnetlink (%w): %w", errors.ErrUnsupported, err)
	} else if err != nil {
		return fmt.Errorf("netlab: netfilter socket: %w", err)
	}
	_ = unix.Close(fd)
	h, err := New()
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if err := h.bindQueue(); errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf(
			"netlab: the kernel has no NFQUEUE, load nfnetlink_queue (%w): %w", errors.ErrUnsupported, err,
		)
	} else if err != nil {
		return fmt.Errorf("netlab: bind a queue: %w", err)
	}
	_, err = h.queue()
	return err
}

// openQueue binds queue 0, which vanishes with the socket, to receive whole packets.
func (h *Host) openQueue() (*netlink.Conn, error) {
	const (
		configMsg   = unix.NFNL_SUBSYS_QUEUE<<8 | 2 // NFQNL_MSG_CONFIG
		cfgCmd      = 1                             // NFQA_CFG_CMD
		cfgParams   = 2                             // NFQA_CFG_PARAMS
		cfgCmdBind  = 1                             // NFQNL_CFG_CMD_BIND
		copyPacket  = 2                             // NFQNL_COPY_PACKET
		headerBytes = 4
	)
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: h.FD()})
	if err != nil {
		return nil, err
	}
	msg := make([]byte, 4, 24) // struct nfgenmsg: any family, queue 0
	msg = binary.NativeEndian.AppendUint16(msg, headerBytes+4)
	msg = binary.NativeEndian.AppendUint16(msg, cfgCmd)
	msg = append(msg, cfgCmdBind, 0, 0, 0)
	msg = binary.NativeEndian.AppendUint16(msg, headerBytes+5)
	msg = binary.NativeEndian.AppendUint16(msg, cfgParams)
	msg = append(msg, 0, 0, 0, 0, copyPacket, 0, 0, 0) // a range of 0 is all
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: configMsg, Flags: netlink.Request | netlink.Acknowledge},
		Data:   msg,
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// bindQueue tries to.
func (h *Host) bindQueue() error {
	conn, err := h.openQueue()
	if err != nil {
		return err
	}
	return conn.Close()
}
