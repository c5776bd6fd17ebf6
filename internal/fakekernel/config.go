// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import (
	"encoding/binary"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// Attributes and commands of CONFIG (enum nfqnl_attr_config, nfqnl_msg_config_cmds).
const (
	cfgCmd         = 1
	cfgParams      = 2
	cfgQueueMaxLen = 3
	cfgMask        = 4
	cfgFlags       = 5

	cmdBind     = 1
	cmdUnbind   = 2
	cmdPFBind   = 3
	cmdPFUnbind = 4
)

var configPolicy = policy{cfgCmd: 4, cfgParams: 5, cfgQueueMaxLen: 4, cfgMask: 4, cfgFlags: 4}

// config acts on CONFIG in the order of nfqnl_recv_config, and returns the error
// number of the reply.
func (k *Kernel) config(c *Conn, number uint16, body []byte) int32 {
	a, errno := configPolicy.parse(body)
	if errno != 0 {
		return errno
	}
	if cmd := a[cfgCmd]; cmd != nil && (cmd[0] == cmdPFBind || cmd[0] == cmdPFUnbind) {
		return 0
	}
	var flags, mask uint32
	if a[cfgFlags] != nil {
		if a[cfgMask] == nil {
			return kernel.EINVAL
		}
		flags, mask = binary.BigEndian.Uint32(a[cfgFlags]), binary.BigEndian.Uint32(a[cfgMask])
		if flags&^knownFlags != 0 || flags&mask&^k.flags != 0 {
			return kernel.EOPNOTSUPP
		}
	}
	q := k.queues[number]
	if q != nil && q.owner != c {
		return kernel.EPERM
	}
	if cmd := a[cfgCmd]; cmd != nil {
		switch cmd[0] {
		case cmdBind:
			if q != nil {
				return kernel.EBUSY
			}
			q = newQueue(number, c, k.firstID)
			k.queues[number] = q
		case cmdUnbind:
			if q == nil {
				return kernel.ENODEV
			}
			k.unbind(q)
			return 0
		default:
			return kernel.EOPNOTSUPP
		}
	}
	if q == nil {
		return kernel.ENODEV
	}
	if p := a[cfgParams]; p != nil {
		q.setMode(p[4], binary.BigEndian.Uint32(p))
	}
	if n := a[cfgQueueMaxLen]; n != nil {
		q.maxLen = binary.BigEndian.Uint32(n)
	}
	q.flags = q.flags&^mask | flags&mask
	return 0
}

// setMode is nfqnl_set_mode. An unknown mode is ignored without an error.
func (q *queue) setMode(mode uint8, copyRange uint32) {
	switch mode {
	case copyNone, copyMeta:
		q.mode, q.copyRange = mode, 0
	case copyPacket:
		if copyRange == 0 || copyRange > maxCopyRange {
			copyRange = maxCopyRange
		}
		q.mode, q.copyRange = mode, copyRange
	}
}
