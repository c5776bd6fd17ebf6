// SPDX-License-Identifier: GPL-2.0-or-later

package ctedit

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/ctattr"
	"github.com/chifflier/nfqueue-go/internal/ippkt"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

const (
	// maxExpectClass is NF_CT_MAX_EXPECT_CLASSES - 1.
	maxExpectClass = 3
	// maxHelperName is NF_CT_HELPER_NAME_LEN without the NUL.
	maxHelperName = 15
	// maxExpectFunction is longer than the name of any function of the kernel.
	maxExpectFunction = 255
)

// canExpect reports whether the kernel reads the ports of a protocol from an expectation
// (nlattr_to_tuple). It does not for DCCP since Linux 6.17, nor for UDP-Lite since 7.1.
func canExpect(p ippkt.Protocol) bool {
	switch p {
	case ippkt.TCP, ippkt.UDP, ippkt.SCTP, ippkt.GRE:
		return true
	}
	return false
}

// checkExpect says why the kernel would not accept e for a connection over IPv4, or IPv6.
func checkExpect(e *conntrack.Expectation, ipv4 bool) error {
	switch {
	case !canExpect(e.Protocol):
		return fmt.Errorf("Expectation.Protocol is %s; the kernel expects ports of TCP, UDP, SCTP "+
			"and GRE only", e.Protocol)
	case !e.Dst.IsValid():
		return errors.New("Expectation.Dst is not set; the kernel needs a destination")
	case e.DstPort == 0 && e.Protocol != ippkt.GRE:
		return errors.New("Expectation.DstPort is not set; the kernel needs a port")
	case e.Dst.Is4() != ipv4 || e.Src.IsValid() && e.Src.Is4() != ipv4:
		return errors.New("the addresses must be of the IP version of the packet's connection")
	case e.Flags&^(conntrack.ExpectPermanent|conntrack.ExpectInactive) != 0:
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
		return fmt.Errorf("the name of Expectation.NAT.Function has %d bytes; the kernel's functions "+
			"have %d at most",
			len(e.NAT.Function), maxExpectFunction)
	case !e.NAT.Addr.IsValid() || e.NAT.Addr.Is4() != ipv4:
		return errors.New("Expectation.NAT.Addr must be an address of the IP version of the " +
			"packet's connection")
	}
	return nil
}

// Expect appends to b, which is empty, what makes the connection of an entry expect another.
func Expect(b []byte, entry conntrack.Entry, e *conntrack.Expectation) ([]byte, error) {
	if entry.Helper() == nil {
		return b, errNoHelper
	}
	master, ok := entry.Original()
	if !ok {
		return b, errNoTuple
	}
	if err := checkExpect(e, master.Src.Is4()); err != nil {
		return b, err
	}
	return appendExpect(b, e), nil
}

func appendExpect(b []byte, e *conntrack.Expectation) []byte {
	none := netip.IPv6Unspecified()
	if e.Dst.Is4() {
		none = netip.IPv4Unspecified()
	}
	// The kernel uses only the source of the mask, but needs a whole tuple.
	tuple := conntrack.Tuple{Protocol: e.Protocol, Src: none, Dst: e.Dst, SrcPort: e.SrcPort,
		DstPort: e.DstPort}
	mask := conntrack.Tuple{Protocol: e.Protocol, Src: none, Dst: allOnes(e.Dst), DstPort: 0xffff}
	if e.Src.IsValid() {
		tuple.Src, mask.Src = e.Src, allOnes(e.Src)
	}
	if e.SrcPort != 0 {
		mask.SrcPort = 0xffff
	}
	b = appendTuple(b, ctattr.ExpectTuple, tuple)
	b = appendTuple(b, ctattr.ExpectMask, mask)
	if e.Flags != 0 {
		b = nlwire.AppendAttrU32(b, ctattr.ExpectFlags, uint32(e.Flags))
	}
	if e.Helper != "" {
		b = appendString(b, ctattr.ExpectHelpName, e.Helper)
		b = nlwire.AppendAttrU32(b, ctattr.ExpectClass, e.Class)
	}
	if e.NAT != nil {
		b = appendNAT(b, e.NAT, e.Protocol, none)
	}
	return b
}

func appendNAT(b []byte, n *conntrack.ExpectNAT, protocol ippkt.Protocol, none netip.Addr) []byte {
	b = appendString(b, ctattr.ExpectFn, n.Function)
	start := len(b)
	b = nlwire.AppendNest(b, ctattr.ExpectNAT)
	var dir uint32 // enum ip_conntrack_dir
	if n.Reply {
		dir = 1
	}
	b = nlwire.AppendAttrU32(b, ctattr.ExpectNATDir, dir)
	b = appendTuple(b, ctattr.ExpectNATTuple, conntrack.Tuple{Protocol: protocol, Src: n.Addr,
		Dst: none, SrcPort: n.Port})
	nlwire.EndNest(b, start)
	return b
}

// appendString appends an attribute that holds s and a NUL.
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

// appendTuple appends a tuple of a protocol with ports.
func appendTuple(b []byte, typ uint16, t conntrack.Tuple) []byte {
	start := len(b)
	b = nlwire.AppendNest(b, typ)

	ip := len(b)
	b = nlwire.AppendNest(b, ctattr.TupleIP)
	if t.Src.Is4() {
		src, dst := t.Src.As4(), t.Dst.As4()
		b = nlwire.AppendAttr(b, ctattr.IPv4Src, src[:])
		b = nlwire.AppendAttr(b, ctattr.IPv4Dst, dst[:])
	} else {
		src, dst := t.Src.As16(), t.Dst.As16()
		b = nlwire.AppendAttr(b, ctattr.IPv6Src, src[:])
		b = nlwire.AppendAttr(b, ctattr.IPv6Dst, dst[:])
	}
	nlwire.EndNest(b, ip)

	proto := len(b)
	b = nlwire.AppendNest(b, ctattr.TupleProto)
	b = nlwire.AppendAttr(b, ctattr.ProtoNum, []byte{uint8(t.Protocol)})
	b = nlwire.AppendAttrU16(b, ctattr.ProtoSrcPort, t.SrcPort)
	b = nlwire.AppendAttrU16(b, ctattr.ProtoDstPort, t.DstPort)
	nlwire.EndNest(b, proto)

	nlwire.EndNest(b, start)
	return b
}
