// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ReplacesPayload reports whether a verdict can replace the payload of a packet in hosts of this
// process. Linux 7.1 and later drop such packets without an error in all user namespaces except the
// initial one ("netfilter: disable payload mangling in userns", 968cc2c96390). ReplacesPayload
// tries it, with messages of its own.
func ReplacesPayload() (bool, error) {
	h, err := New()
	if err != nil {
		return false, err
	}
	defer func() { _ = h.Close() }()
	replaces, err := h.replacesPayload()
	if err != nil {
		return false, fmt.Errorf("netlab: try to replace a payload: %w", err)
	}
	return replaces, nil
}

// probeLimit bounds the wait for packets that must arrive.
const probeLimit = 20 * time.Second

func (h *Host) replacesPayload() (bool, error) {
	queue, err := h.openQueue()
	if err != nil {
		return false, err
	}
	defer func() { _ = queue.Close() }()
	c, err := In(h, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	})
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }()
	end := time.Now().Add(probeLimit)
	if err := errors.Join(queue.SetDeadline(end), c.SetDeadline(end)); err != nil {
		return false, err
	}
	table, err := h.AddTable(IP, "netlab-payload")
	if err != nil {
		return false, err
	}
	chain, err := table.AddChain("output", Output, 0, PolicyAccept)
	if err != nil {
		return false, err
	}
	if _, err := chain.AddRule(L4Proto(unix.IPPROTO_UDP), ToQueue(Queue{})); err != nil {
		return false, err
	}
	// The second packet, which stays unchanged, arrives after the first or alone.
	for _, text := range []string{"1st.", "2nd."} {
		if _, err := c.WriteTo([]byte(text), c.LocalAddr()); err != nil {
			return false, err
		}
		if err := accept(queue, text == "1st."); err != nil {
			return false, err
		}
	}
	b := make([]byte, 8)
	n, err := c.Read(b)
	return string(b[:n]) == "1st.", err
}

// accept accepts the next packet of queue 0, with or without its own payload as a new one.
func accept(queue *netlink.Conn, replace bool) error {
	const (
		packetMsg                      = unix.NFNL_SUBSYS_QUEUE << 8   // NFQNL_MSG_PACKET
		verdictMsg                     = unix.NFNL_SUBSYS_QUEUE<<8 | 1 // NFQNL_MSG_VERDICT
		packetHdr, verdictHdr, payload = 1, 2, 10                      // NFQA_*
		nfAccept                       = 1
	)
	packets, err := queue.Receive()
	if err != nil {
		return err
	}
	const nfgenmsg = 4
	if len(packets) != 1 || packets[0].Header.Type != packetMsg || len(packets[0].Data) < nfgenmsg {
		return fmt.Errorf("%d messages, not one packet", len(packets))
	}
	attrs := make(map[uint16][]byte)
	for b := packets[0].Data[nfgenmsg:]; len(b) > 4; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d", n, len(b))
		}
		attrs[binary.NativeEndian.Uint16(b[2:])] = b[4:n]
		b = b[min((n+3)&^3, len(b)):]
	}
	if len(attrs[packetHdr]) < 4 || len(attrs[payload])%4 != 0 {
		return fmt.Errorf("packet with the attributes %v", attrs)
	}
	msg := make([]byte, nfgenmsg, 64)
	msg = binary.NativeEndian.AppendUint16(msg, 12)
	msg = binary.NativeEndian.AppendUint16(msg, verdictHdr)
	msg = binary.BigEndian.AppendUint32(msg, nfAccept)
	msg = append(msg, attrs[packetHdr][:4]...) // the id
	if replace {
		msg = binary.NativeEndian.AppendUint16(msg, uint16(4+len(attrs[payload])))
		msg = binary.NativeEndian.AppendUint16(msg, payload)
		msg = append(msg, attrs[payload]...)
	}
	_, err = queue.Execute(netlink.Message{
		Header: netlink.Header{Type: verdictMsg, Flags: netlink.Request | netlink.Acknowledge},
		Data:   msg,
	})
	return err
}
