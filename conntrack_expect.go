// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// ExpectFlags say how an expectation is used (NF_CT_EXPECT_* of
// linux/netfilter/nf_conntrack_common.h).
type ExpectFlags uint32

const (
	// ExpectPermanent: it holds for any number of connections, not only for the
	// first (NF_CT_EXPECT_PERMANENT).
	ExpectPermanent ExpectFlags = 1 << 0
	// ExpectInactive: it matches nothing, and only keeps others from expecting the
	// same (NF_CT_EXPECT_INACTIVE).
	ExpectInactive ExpectFlags = 1 << 1
)

var expectFlagNames = []string{"permanent", "inactive"}

// String lists the names of the flags that are set, joined by "|".
func (f ExpectFlags) String() string { return bitNames(uint32(f), expectFlagNames) }

// Expectation announces a connection that belongs to another, its master, as an
// FTP data connection to the control connection (struct nf_conntrack_expect).
// When it comes, its packets are "related" and its Master is that connection.
type Expectation struct {
	// Protocol is IPPROTO_TCP, UDP, SCTP or GRE. Of others the kernel knows no ports, or no longer
	// does, and would expect all of the protocol.
	Protocol Protocol
	// Src and SrcPort are where the first packet comes from. A zero value stands for
	// any address or port.
	Src     netip.Addr
	SrcPort uint16
	// Dst and DstPort are where the first packet goes to. They must be given, but for the port, or
	// key, of GRE, which is compared all the same.
	Dst     netip.Addr
	DstPort uint16

	// Flags says how long the expectation lasts and what it is for.
	Flags ExpectFlags

	// Helper is attached to the expected connection; empty for none. The kernel looks
	// it up for the protocol of the master, and since commit dcb0f9aefdd6 (Linux 7.1) for
	// Protocol. Those in between which have commit 917b61fa2042, 7.0 and stable kernels of 2026
	// such as the later 6.1, attach the master's helper whatever is given, also for none.
	Helper string
	// Class chooses among the kinds of expectations that the master's helper has,
	// each of which has a timeout and a limit. One other than 0 needs Helper, of
	// which older kernels take it to be.
	Class uint32

	// NAT says how the expected connection is translated; nil for not at all.
	NAT *ExpectNAT
}

// ExpectNAT is the translation of an expected connection.
type ExpectNAT struct {
	// Function is the kernel's function that translates, "nat-follow-master" for
	// addresses as the master has them.
	Function string
	// Reply says that the expected connection goes in the direction of the master's
	// replies.
	Reply bool
	// Addr and Port are the real ones of the end that the connection goes to, which
	// Dst and DstPort stand for. "nat-follow-master" takes Port only, and the address
	// from the master; the kernel wants both nevertheless.
	Addr netip.Addr
	Port uint16
}

const (
	// maxExpectClass is NF_CT_MAX_EXPECT_CLASSES - 1.
	maxExpectClass = 3
	// maxHelperName is NF_CT_HELPER_NAME_LEN without the NUL.
	maxHelperName = 15
	// maxExpectFunction is more than the kernel's functions have in their names.
	maxExpectFunction = 255
)

// canExpect reports whether the kernel reads the ports of a protocol from an expectation
// (nlattr_to_tuple). DCCP and UDP-Lite have lost theirs, in Linux 6.17 and 7.1.
func canExpect(p Protocol) bool {
	switch p {
	case TCP, UDP, SCTP, GRE:
		return true
	}
	return false
}

// check says why the kernel would not take e for a connection of a family, as IPv4
// or not.
func (e *Expectation) check(ipv4 bool) error {
	switch {
	case !canExpect(e.Protocol):
		return fmt.Errorf("Expectation.Protocol is %s; the kernel knows ports to expect only of TCP, UDP, SCTP and GRE", e.Protocol)
	case !e.Dst.IsValid():
		return errors.New("Expectation.Dst is not set; the kernel takes no expectation of any destination")
	case e.DstPort == 0 && e.Protocol != GRE:
		return errors.New("Expectation.DstPort is not set; the kernel takes no expectation of any port")
	case e.Dst.Is4() != ipv4 || e.Src.IsValid() && e.Src.Is4() != ipv4:
		return errors.New("the addresses must be of the IP version of the packet's connection")
	case e.Flags&^(ExpectPermanent|ExpectInactive) != 0:
		return fmt.Errorf("unknown flags %v", e.Flags)
	case len(e.Helper) > maxHelperName:
		return fmt.Errorf("the helper's name %q has more than %d bytes", e.Helper, maxHelperName)
	case e.Class > maxExpectClass:
		return fmt.Errorf("the kernel has no class %d, only those up to %d", e.Class, maxExpectClass)
	case e.Class != 0 && e.Helper == "":
		return errors.New("Expectation.Class is set without Helper; older kernels ignore it then")
	case e.NAT == nil:
		return nil
	case e.NAT.Function == "":
		return errors.New("Expectation.NAT has no Function; the kernel ignores the rest then")
	case len(e.NAT.Function) > maxExpectFunction:
		return fmt.Errorf("the name of Expectation.NAT.Function has %d bytes; no function of the kernel has more than %d", len(e.NAT.Function), maxExpectFunction)
	case !e.NAT.Addr.IsValid() || e.NAT.Addr.Is4() != ipv4:
		return errors.New("Expectation.NAT.Addr must be an address of the IP version of the packet's connection")
	}
	return nil
}

// SetExpect makes the packet's connection expect another one when the verdict is
// given. There is at most one expectation in a verdict: calling it again replaces
// it.
//
// It fails when the packet came without a conntrack entry, when its connection has
// no helper, whose limits and timeout apply, and when the expectation is not one
// that the kernel could take. That Helper and NAT.Function exist, that the limit of
// expectations is not reached and that no other connection expects the same the
// kernel alone knows; it then ignores the expectation, and says nothing. An
// expectation has effect once the master is confirmed (NFQA_EXP,
// ctnetlink_glue_attach_expect).
func (p *Packet) SetExpect(e Expectation) error {
	const what = "expectation"
	entry, err := p.entryOf(what)
	if err != nil {
		return err
	}
	if entry.Helper() == nil {
		return p.editError(what, errNoHelper)
	}
	master, ok := entry.Original()
	if !ok {
		return p.editError(what, ErrMalformed)
	}
	if err := e.check(master.Src.Is4()); err != nil {
		return p.editError(what, err)
	}
	p.edits.Expect = e.append(p.edits.Expect[:0])
	// The kernel looks at NFQA_EXP only behind NFQA_CT, even an empty one.
	p.edits.Set |= nfqmsg.EditExpect | nfqmsg.EditConntrack
	return nil
}

func (e *Expectation) append(b []byte) []byte {
	none := netip.IPv6Unspecified()
	if e.Dst.Is4() {
		none = netip.IPv4Unspecified()
	}
	// The kernel uses the source of the mask only, but wants a whole tuple.
	tuple := Tuple{Protocol: e.Protocol, Src: none, Dst: e.Dst, SrcPort: e.SrcPort, DstPort: e.DstPort}
	mask := Tuple{Protocol: e.Protocol, Src: none, Dst: allOnes(e.Dst), DstPort: 0xffff}
	if e.Src.IsValid() {
		tuple.Src, mask.Src = e.Src, allOnes(e.Src)
	}
	if e.SrcPort != 0 {
		mask.SrcPort = 0xffff
	}
	b = appendTuple(b, ctaExpectTuple, tuple)
	b = appendTuple(b, ctaExpectMask, mask)
	if e.Flags != 0 {
		b = nlwire.AppendAttrU32(b, ctaExpectFlags, uint32(e.Flags))
	}
	if e.Helper != "" {
		b = appendString(b, ctaExpectHelpName, e.Helper)
		b = nlwire.AppendAttrU32(b, ctaExpectClass, e.Class)
	}
	if e.NAT != nil {
		b = e.NAT.append(b, e.Protocol, none)
	}
	return b
}

func (n *ExpectNAT) append(b []byte, proto Protocol, none netip.Addr) []byte {
	b = appendString(b, ctaExpectFn, n.Function)
	start := len(b)
	b = nlwire.AppendNest(b, ctaExpectNAT)
	var dir uint32 // enum ip_conntrack_dir
	if n.Reply {
		dir = 1
	}
	b = nlwire.AppendAttrU32(b, ctaExpectNATDir, dir)
	b = appendTuple(b, ctaExpectNATTuple, Tuple{Protocol: proto, Src: n.Addr, Dst: none, SrcPort: n.Port})
	nlwire.EndNest(b, start)
	return b
}

// appendString appends an attribute that holds s with a NUL behind it.
func appendString[S string | []byte](b []byte, typ uint16, s S) []byte {
	b = nlwire.AppendAttrHeader(b, typ, len(s)+1)
	b = append(b, s...)
	return nlwire.Pad(append(b, 0), len(s)+1)
}

// allOnes returns the mask that compares all bits of an address like a.
func allOnes(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{0xff, 0xff, 0xff, 0xff})
	}
	var ones [16]byte
	for i := range ones {
		ones[i] = 0xff
	}
	return netip.AddrFrom16(ones)
}
