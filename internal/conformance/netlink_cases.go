// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

const (
	eperm      = kernel.EPERM
	enoent     = kernel.ENOENT
	ebusy      = kernel.EBUSY
	enodev     = kernel.ENODEV
	einval     = kernel.EINVAL
	erange     = kernel.ERANGE
	eopnotsupp = kernel.EOPNOTSUPP
	enotsupp   = kernel.ENOTSUPP
)

var bind = one(config(cmd(cmdBind)), 0)

var netlinkCases = []struct {
	name  string
	steps []step
}{
	{"bind", []step{
		bind,
		one(config(cmd(cmdBind)), ebusy),
		one(config(cmd(cmdUnbind)), 0),
		one(config(cmd(cmdUnbind)), enodev),
		bind,
	}},
	{"all in one", []step{
		one(config(cmd(cmdBind), params(0xffff, 2), maxLen(10), mask(5), flagsAttr(5)), 0),
		one(config(cmd(cmdBind)), ebusy),
	}},
	{"numbers", []step{
		one(to(0, config(cmd(cmdBind))), 0),
		one(to(65535, config(cmd(cmdBind))), 0),
		one(to(1, config(maxLen(1))), enodev),
	}},
	{"unbound", []step{
		one(config(), enodev),
		one(config(params(0, 1)), enodev),
		one(config(maxLen(1)), enodev),
		one(config(mask(1), flagsAttr(1)), enodev),
		one(verdict(verdictHdr(1, 1)), enodev),
		one(request(msgVerdictBatch, verdictHdr(1, 1)), enodev),
		one(verdict(), enodev),
		one(verdict(verdictHdr(2, 1)), enodev),
	}},
	{"commands", []step{
		one(config(cmd(0)), eopnotsupp, enotsupp),
		one(config(cmd(5)), eopnotsupp, enotsupp),
		bind,
		one(config(cmd(0)), eopnotsupp, enotsupp),
		one(config(cmd(cmdPFBind)), 0),
		one(config(cmd(cmdPFUnbind)), 0),
		one(config(cmd(cmdPFBind), flagsAttr(1)), 0),
		one(config(cmd(cmdPFBind), flagsAttr(1)), 0).byForeigner(),
	}},
	{"nothing to do", []step{bind, one(config(), 0)}},
	{"unbind ignores the rest", []step{
		bind,
		one(config(cmd(cmdUnbind), params(0, 2), maxLen(3)), 0),
		one(config(), enodev),
	}},
	{"flags", []step{
		bind,
		one(config(flagsAttr(1)), einval),
		one(config(mask(1)), 0),
		one(config(mask(1<<30)), 0),
		one(config(mask(1), flagsAttr(0x20)), eopnotsupp, einval),
		one(config(mask(0x20), flagsAttr(0x20)), eopnotsupp, einval),
		one(config(mask(0), flagsAttr(0)), 0),
		one(config(mask(5), flagsAttr(5)), 0),
	}},
	{"flags are checked first", []step{
		one(config(flagsAttr(1)), einval),
		one(config(mask(0x20), flagsAttr(0x20)), eopnotsupp, einval),
		one(config(cmd(cmdBind), mask(0x20), flagsAttr(0x20)), eopnotsupp, einval),
		one(config(), enodev),
		bind,
		one(config(flagsAttr(1)), einval).byForeigner(),
		one(config(cmd(cmdBind), flagsAttr(1)), einval),
	}},
	{"copy mode", []step{
		bind,
		one(config(params(0, 9)), 0),
		one(config(params(1<<31, 2)), 0),
		one(config(params(10, 2, 0, 0, 0)), 0),
	}},
	{"lengths", []step{
		one(config(attr(1, cmdBind, 0, 0)), erange),
		one(config(attr(1, cmdBind, 0, 0, 0, 9, 9, 9, 9)), 0),
		one(config(attr(2, 0, 0, 0, 0)), erange),
		one(config(attr(3, 0, 0)), erange),
		one(config(attr(4, 0, 0)), erange),
		one(config(attr(5, 0, 0)), erange),
		one(verdict(attr(2, 0, 0, 0, 1)), erange),
		one(verdict(verdictHdr(1, 1), attr(3, 0, 0)), erange),
		one(verdict(verdictHdr(1, 1), attr(100, 0)), enoent),
		one(to(9, verdict(attr(2, 0, 0, 0, 1))), erange),
	}},
	{"foreign owner", []step{
		bind,
		one(config(cmd(cmdBind)), eperm).byForeigner(),
		one(config(cmd(cmdUnbind)), eperm).byForeigner(),
		one(config(), eperm).byForeigner(),
		one(config(cmd(0)), eperm).byForeigner(),
		one(config(maxLen(1)), eperm).byForeigner(),
		one(verdict(verdictHdr(1, 1)), eperm).byForeigner(),
		one(verdict(), eperm).byForeigner(),
		one(request(msgVerdictBatch, verdictHdr(1, 1)), eperm).byForeigner(),
		one(to(1, config(cmd(cmdBind))), 0).byForeigner(),
		one(config(), 0),
	}},
	{"verdicts", []step{
		bind,
		one(verdict(), einval),
		one(request(msgVerdictBatch), einval),
		one(verdict(verdictHdr(2, 1)), einval),
		one(verdict(verdictHdr(6, 1)), einval),
		one(verdict(verdictHdr(0xff, 1)), einval),
		one(request(msgVerdictBatch, verdictHdr(2, 1)), einval),
		one(verdict(verdictHdr(0, 1)), enoent),
		one(verdict(verdictHdr(0x10001, 1)), enoent),
		one(verdict(verdictHdr(3, 1)), enoent),
		one(verdict(verdictHdr(4, 1)), enoent),
		one(verdict(verdictHdr(5, 1)), enoent),
		one(request(msgVerdictBatch, verdictHdr(1, 1<<31)), enoent),
	}},
	{"message types", []step{
		one(request(msgPacket), enotsupp),
		one(request(subsystem<<8|4), einval),
		one(request(77<<8), einval),
		one(request(nlwire.TypeNoop), 0),
	}},
	{"answers", []step{
		one(config(cmd(cmdBind)).flags(nlwire.FlagRequest), none),
		one(config(cmd(cmdBind)).flags(nlwire.FlagRequest), ebusy),
		one(verdict(verdictHdr(1, 1)).flags(nlwire.FlagRequest), enoent),
		one(config(cmd(cmdUnbind)).flags(0), none),
		one(config(), 0),
	}},
	{"attribute flags", []step{
		one(config(attr(1|0x8000, cmdBind, 0, 0, 0)), 0),
		one(verdict(attr(2|0x4000, 0, 0, 0, 2, 0, 0, 0, 1)), einval),
	}},
	{"many messages", []step{
		many([]int32{0, einval, enoent, ebusy, 0, enoent},
			config(cmd(cmdBind)), verdict(), verdict(verdictHdr(1, 1)), config(cmd(cmdBind)),
			config(params(0, 1, 0, 0, 0, 9)), verdict(verdictHdr(1, 2))),
	}},
	{"cut datagram", []step{
		many([]int32{0, none, none},
			config(cmd(cmdBind)), config(cmd(cmdUnbind)).stating(1000), config(cmd(cmdUnbind))),
		many([]int32{0, none, none},
			config(), config(cmd(cmdUnbind)).stating(15), config(cmd(cmdUnbind))),
		one(config(), 0),
	}},
	{"no nfgenmsg", []step{
		one(request(msgConfig)[:nlwire.HeaderLen].stating(nlwire.HeaderLen), 0),
		one(request(msgVerdict)[:nlwire.HeaderLen+3].stating(nlwire.HeaderLen+3), 0),
	}},
}
