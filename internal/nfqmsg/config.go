// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

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
	CmdBind = 1 // NFQNL_CFG_CMD_BIND
	// CmdPFBind has done nothing since Linux 3.8 or so: the kernel answers with success
	// once it has checked the sender's capability.
	CmdPFBind = 3 // NFQNL_CFG_CMD_PF_BIND
)

// Copy is struct nfqnl_msg_config_params.
type Copy struct {
	Range uint32
	Mode  uint8 // enum nfqnl_config_mode
}

// Change is what one CONFIG message sets. The kernel applies its parts in the order of the
// fields. Between the first two is a moment in which packets meet a queue that is bound but not
// configured, and are dropped: it is as short as it can be.
type Change struct {
	Cmd    uint8
	Copy   *Copy
	MaxLen *uint32
	Mask   uint32 // which flags to change
	Flags  uint32
}

// AppendTo appends the message. The reply will carry seq; with 0 only an error has one.
func (c Change) AppendTo(b []byte, queue uint16, seq uint32) []byte {
	start := len(b)
	var flags uint16 = nlwire.FlagRequest
	if seq != 0 {
		flags |= nlwire.FlagAck
	}
	b = nlwire.AppendHeader(b, Config, flags, seq)
	b = appendGenmsg(b, queue)
	if c.Cmd != 0 {
		// struct nfqnl_msg_config_cmd: command, padding, and a protocol family that
		// the kernel ignores.
		b = nlwire.AppendAttr(b, cfgCmd, []byte{c.Cmd, 0, 0, 0})
	}
	if c.Copy != nil {
		// The structure is packed: 5 bytes.
		p := binary.BigEndian.AppendUint32(make([]byte, 0, 5), c.Copy.Range)
		b = nlwire.AppendAttr(b, cfgParams, append(p, c.Copy.Mode))
	}
	if c.MaxLen != nil {
		b = nlwire.AppendAttrU32(b, cfgQueueMaxLen, *c.MaxLen)
	}
	if c.Mask != 0 {
		b = nlwire.AppendAttrU32(b, cfgFlags, c.Flags)
		b = nlwire.AppendAttrU32(b, cfgMask, c.Mask)
	}
	nlwire.Finish(b, start)
	return b
}
