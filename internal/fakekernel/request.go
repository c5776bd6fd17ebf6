// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// minType is NLMSG_MIN_TYPE: lower ones are control messages.
const minType = 0x10

// receive acts on the messages of a datagram one after the other. If one fails the kernel answers
// with an error and goes on with the next.
func (k *Kernel) receive(c *Conn, b []byte) {
	for first := true; ; first = false {
		msg, rest, ok := nlwire.Next(b)
		if !ok {
			return
		}
		hdr, _ := nlwire.ParseHeader(msg)
		if k.privless || first && c.refusesDatagram(hdr.Type) { // it is discarded as a whole
			c.reply(msg, kernel.EPERM)
			return
		}
		if hdr.Flags&nlwire.FlagRequest != 0 {
			var errno int32
			if hdr.Type >= minType {
				errno = k.request(c, hdr.Type, msg[nlwire.HeaderLen:])
			}
			if errno != 0 || hdr.Flags&nlwire.FlagAck != 0 {
				c.reply(msg, errno)
			}
		}
		b = rest
	}
}

// request acts on one message and returns the error number of the reply.
func (k *Kernel) request(c *Conn, typ uint16, body []byte) int32 {
	if typ>>8 != subsystem {
		return kernel.EINVAL
	}
	if len(body) < nfgenmsgLen {
		return 0
	}
	number, attrs := binary.BigEndian.Uint16(body[2:]), body[nfgenmsgLen:]
	switch typ & 0xff {
	case msgPacket:
		return kernel.ENOTSUPP
	case msgConfig:
		return k.config(c, number, attrs)
	case msgVerdict, msgVerdictBatch:
		if errno, ok := c.refuse.next(); ok {
			return errno
		}
		return k.verdict(c, number, attrs, typ&0xff == msgVerdictBatch)
	}
	return kernel.EINVAL
}

// reply answers a request with NLMSG_ERROR: the error number, 0 for an acknowledgement, and the
// header of the request without its payload, as with NETLINK_CAP_ACK.
func (c *Conn) reply(request []byte, errno int32) {
	hdr, _ := nlwire.ParseHeader(request)
	const capped = 0x100 // NLM_F_CAPPED
	b := nlwire.AppendHeader(nil, nlwire.TypeError, capped, hdr.Seq)
	binary.NativeEndian.PutUint32(b[12:], c.portID)
	b = binary.NativeEndian.AppendUint32(b, uint32(-errno))
	b = append(b, request[:nlwire.HeaderLen]...)
	nlwire.Finish(b, 0)
	if c.loseReply > 0 {
		c.loseReply--
		return
	}
	c.deliver(datagram{data: b, charge: chargeSmall})
}
