// SPDX-License-Identifier: GPL-2.0-or-later

package conntrack

import (
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/word"
)

// ExpectFlags say how an expectation is used (NF_CT_EXPECT_* of
// linux/netfilter/nf_conntrack_common.h).
type ExpectFlags uint32

const (
	// ExpectPermanent: it matches any number of connections, not only the first
	// (NF_CT_EXPECT_PERMANENT).
	ExpectPermanent ExpectFlags = 1 << 0
	// ExpectInactive: it matches nothing, and keeps others from expecting the same
	// (NF_CT_EXPECT_INACTIVE).
	ExpectInactive ExpectFlags = 1 << 1
)

var expectFlagNames = []string{"permanent", "inactive"}

// String lists the names of the set flags, joined by "|".
func (f ExpectFlags) String() string { return word.Bits(uint32(f), expectFlagNames) }

// Expectation announces a connection that belongs to another, its master, as an FTP data
// connection belongs to the control connection (struct nf_conntrack_expect). The packets of the
// expected connection are "related", and its entry has the Master.
type Expectation struct {
	// Protocol is TCP, UDP, SCTP or GRE. The kernel reads no ports of other protocols, and would
	// expect every connection of the protocol.
	Protocol Protocol
	// Src and SrcPort are where the first packet comes from. A zero value matches any address or
	// port.
	Src     netip.Addr
	SrcPort uint16
	// Dst and DstPort are where the first packet goes to. Both must be set; only the key of GRE may
	// be 0, which the kernel compares like any other.
	Dst     netip.Addr
	DstPort uint16

	// Flags says how long the expectation lasts and what it is for.
	Flags ExpectFlags

	// Helper names the helper of the expected connection; empty for none. The kernel looks it up
	// for the master's protocol, and since Linux 7.1 (commit dcb0f9aefdd6) for Protocol. Kernels
	// with commit 917b61fa2042 only, 7.0 and stable kernels of 2026 such as the later 6.1, always
	// attach the master's helper.
	Helper string
	// Class chooses among the kinds of expectations of the master's helper, each with a timeout
	// and a limit. A Class other than 0 needs Helper, whose class it is on older kernels.
	Class uint32

	// NAT is the translation of the expected connection, nil for none.
	NAT *ExpectNAT
}

// ExpectNAT is the translation of an expected connection.
type ExpectNAT struct {
	// Function is the kernel's function that translates, "nat-follow-master" for
	// addresses as the master has them.
	Function string
	// Reply says that the expected connection has the direction of the master's replies.
	Reply bool
	// Addr and Port are the real destination behind Dst and DstPort. "nat-follow-master" uses only
	// Port, and the master's address; the kernel needs both nevertheless.
	Addr netip.Addr
	Port uint16
}
