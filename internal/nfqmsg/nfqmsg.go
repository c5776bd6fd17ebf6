// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqmsg decodes and encodes the messages of nfnetlink_queue, struct for struct:
// packets, verdicts, configuration, and the kernel's table of queues. It does no I/O.
package nfqmsg

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Types of messages: the subsystem number 3 in the upper byte, enum nfqnl_msg_types in the
// lower.
const (
	Packet       = 0x300 // NFQNL_MSG_PACKET
	Verdict      = 0x301 // NFQNL_MSG_VERDICT
	Config       = 0x302 // NFQNL_MSG_CONFIG
	VerdictBatch = 0x303 // NFQNL_MSG_VERDICT_BATCH
)

// HeadersLen is the size of struct nlmsghdr and struct nfgenmsg, with which every message
// begins.
const HeadersLen = nlwire.HeaderLen + genmsgLen

// genmsgLen is the size of struct nfgenmsg: family, version, queue number.
const genmsgLen = 4

// appendGenmsg appends struct nfgenmsg. The kernel reads the queue number from it and
// ignores the family.
func appendGenmsg(b []byte, queue uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0, 0), queue)
}

// Family returns the protocol family of a message.
func Family(msg []byte) uint8 { return msg[nlwire.HeaderLen] }

// Queue returns the queue number of a message.
func Queue(msg []byte) uint16 { return binary.BigEndian.Uint16(msg[nlwire.HeaderLen+2:]) }
