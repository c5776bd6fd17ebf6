// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Attributes of a CONFIG message, enum nfqnl_attr_config.
const (
	cfgCmd         = 1 // NFQA_CFG_CMD
	cfgParams      = 2 // NFQA_CFG_PARAMS
	cfgQueueMaxLen = 3 // NFQA_CFG_QUEUE_MAXLEN
	cfgMask        = 4 // NFQA_CFG_MASK
	cfgFlags       = 5 // NFQA_CFG_FLAGS
)

// Commands of NFQA_CFG_CMD, enum nfqnl_msg_config_cmds.
const (
	cmdBind   = 1 // NFQNL_CFG_CMD_BIND
	cmdUnbind = 2 // NFQNL_CFG_CMD_UNBIND
	// cmdPFBind has done nothing since Linux 3.8 or so: the kernel answers with
	// success once it has checked the sender's capability.
	cmdPFBind = 3 // NFQNL_CFG_CMD_PF_BIND
)

// change is what one CONFIG message sets. The kernel applies its parts in the
// order of the fields, without a gap in which packets could meet a queue that is
// bound but not configured.
type change struct {
	cmd       uint8
	copyMode  *CopyMode
	copyRange uint32 // goes with copyMode
	maxLen    *uint32
	mask      Flags // which flags to change
	flags     Flags
}

// appendTo appends the message. The reply will carry seq; with 0 only an error has one.
func (c change) appendTo(b []byte, queue uint16, seq uint32) []byte {
	start := len(b)
	var flags uint16 = nlwire.FlagRequest
	if seq != 0 {
		flags |= nlwire.FlagAck
	}
	b = nlwire.AppendHeader(b, msgConfig, flags, seq)
	b = appendNfgenmsg(b, queue)
	if c.cmd != 0 {
		// struct nfqnl_msg_config_cmd: command, padding, and a protocol family that
		// the kernel ignores.
		b = nlwire.AppendAttr(b, cfgCmd, []byte{c.cmd, 0, 0, 0})
	}
	if c.copyMode != nil {
		// struct nfqnl_msg_config_params is packed: 5 bytes.
		p := binary.BigEndian.AppendUint32(make([]byte, 0, 5), c.copyRange)
		b = nlwire.AppendAttr(b, cfgParams, append(p, copyModes[*c.copyMode].kernel))
	}
	if c.maxLen != nil {
		b = nlwire.AppendAttrU32(b, cfgQueueMaxLen, *c.maxLen)
	}
	if c.mask != 0 {
		b = nlwire.AppendAttrU32(b, cfgFlags, uint32(c.flags))
		b = nlwire.AppendAttrU32(b, cfgMask, uint32(c.mask))
	}
	nlwire.Finish(b, start)
	return b
}

// appendNfgenmsg appends struct nfgenmsg; the kernel takes the queue from it and
// ignores the family.
func appendNfgenmsg(b []byte, queue uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0, 0), queue)
}
