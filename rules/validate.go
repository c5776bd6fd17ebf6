// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chifflier/nfqueue-go"
)

// FieldError says why a Rule makes no sense.
type FieldError struct {
	Field string // the name of the field of Rule to change
	Err   error  // what is wrong with it
}

// Error returns the field and what is wrong with it.
func (e *FieldError) Error() string { return "Rule." + e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

// Validate returns nil, or a *FieldError for a combination of fields that the kernel
// would refuse or that no packet can match.
func (r Rule) Validate() error {
	r = r.normal()
	for _, check := range []struct {
		field string
		err   error
	}{
		{"Family", r.checkFamily()},
		{"Hook", r.checkHook()},
		{"Priority", r.checkPriority()},
		{"InDevName", r.checkInDevName()},
		{"OutDevName", r.checkOutDevName()},
		{"Src", r.checkAddresses(r.Src, MatchSrc)},
		{"Dst", r.checkAddresses(r.Dst, MatchDst)},
		{"Protocol", r.checkProtocol()},
		{"SrcPort", r.checkPorts(r.SrcPort, MatchSrcPort)},
		{"DstPort", r.checkPorts(r.DstPort, MatchDstPort)},
		{"Port", r.checkEitherPort()},
		{"ICMPType", r.checkICMPType()},
		{"UID", r.checkOwner(r.UID)},
		{"GID", r.checkOwner(r.GID)},
		{"Cgroup", r.checkCgroup()},
		{"Mark", checkMark(r.Mark, r.MarkMask)},
		{"CTState", r.checkCTState()},
		{"CTMark", r.checkCTMark()},
		{"FirstPackets", r.checkCounted(r.FirstPackets)},
		{"FirstBytes", r.checkCounted(r.FirstBytes)},
		{"Offload", r.checkOffload()},
		{"Queues", r.checkQueues()},
		{"Fanout", r.checkFanout()},
		{"Not", r.checkNot()},
	} {
		if check.err != nil {
			return &FieldError{check.field, check.err}
		}
	}
	return nil
}

func (r Rule) checkFamily() error {
	switch r.Family {
	case 0, nfqueue.FamilyIPv4, nfqueue.FamilyIPv6, nfqueue.FamilyBridge:
		return nil
	}
	return fmt.Errorf("%v cannot queue packets; use FamilyIPv4, FamilyIPv6, FamilyBridge, or "+
		"zero for both IPv4 and IPv6", r.Family)
}

func (r Rule) checkHook() error {
	if r.Hook > nfqueue.HookPostrouting {
		return fmt.Errorf("%v cannot queue packets; use prerouting, input, forward, output or "+
			"postrouting", r.Hook)
	}
	return nil
}

// checkPriority refuses where br_netfilter, if it is active, takes bridged packets away.
// It does so at -1 (forward) or 0 (prerouting), and lets them go on behind 0.
func (r Rule) checkPriority() error {
	taken := r.Hook == nfqueue.HookForward || r.Hook == nfqueue.HookPrerouting
	if r.Family == nfqueue.FamilyBridge && taken && (r.Priority == 0 || r.Priority == -1) {
		return fmt.Errorf("at priority %d of %v bridged packets are missed where br_netfilter "+
			"is active; use -200, where bridge filters are", r.Priority, r.Hook)
	}
	return nil
}

func (r Rule) checkInDevName() error {
	if r.InDevName != "" && r.Hook == nfqueue.HookOutput {
		return errors.New("a packet at output did not come in through an interface; match the " +
			"one through which it leaves, or use another hook")
	}
	return checkIface(r.InDevName)
}

func (r Rule) checkOutDevName() error {
	if r.OutDevName != "" && (r.Hook == nfqueue.HookPrerouting || r.Hook == nfqueue.HookInput) {
		return fmt.Errorf("it is not known at %v through which interface a packet leaves; match "+
			"the one through which it came, or use another hook", r.Hook)
	}
	return checkIface(r.OutDevName)
}

// maxIface is IFNAMSIZ without the NUL.
const maxIface = 15

// checkIface refuses names that the kernel gives to no interface (dev_valid_name), and
// those that nft or the text form cannot say.
func checkIface(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > maxIface {
		return fmt.Errorf("no interface has the name %q: the longest names have %d bytes", name,
			maxIface)
	}
	bad := func(c rune) bool {
		return strings.ContainsRune("/:*\"'\\", c) || c == utf8.RuneError || unicode.IsSpace(c) ||
			!unicode.IsGraphic(c)
	}
	if name == "." || name == ".." || name == "!=" || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q is not the name of an interface; patterns are not supported", name)
	}
	return nil
}

func (r Rule) checkAddresses(all []netip.Prefix, m Match) error {
	for _, p := range all {
		if !p.IsValid() {
			return errors.New("not a valid prefix")
		}
		if only := r.network(); familyOf(p) != only {
			return fmt.Errorf("%v is no address of the family %v, of which all else is", p.Addr(),
				only)
		}
	}
	if r.not(m) && len(all) > 0 && cover(all) {
		return fmt.Errorf("no packet matches: every address is in %s",
			strings.Join(addresses(all), ","))
	}
	return nil
}

// cover reports whether every address of their family is in one of the prefixes, which are normal.
func cover(all []netip.Prefix) bool {
	next := netip.PrefixFrom(all[0].Addr(), 0).Masked().Addr()
	for _, p := range all {
		if p.Addr() != next {
			return false
		}
		next = lastAddress(p).Next()
	}
	return !next.IsValid() // behind the last address
}

func (r Rule) checkProtocol() error {
	if need := networkOf(r.Protocol); need != 0 && r.network() != need && !r.not(MatchProtocol) {
		return fmt.Errorf("%v is not carried by the family %v but by %v", r.Protocol, r.network(),
			need)
	}
	if r.Protocol != 0 && isExtension(r.Protocol) && r.network() == nfqueue.FamilyIPv6 {
		which := "no packet matches"
		if r.not(MatchProtocol) {
			which = "every packet matches"
		}
		return fmt.Errorf("%s: %d is an IPv6 extension header, and the protocol is what follows",
			which, uint8(r.Protocol))
	}
	return nil
}

func (r Rule) checkPorts(p Ports, m Match) error {
	if len(p) == 0 {
		return nil
	}
	if r.Protocol.HasPorts() && r.not(MatchProtocol) {
		return fmt.Errorf("ports need a protocol, and all but %v match; negate the ports only",
			r.Protocol)
	}
	if !r.Protocol.HasPorts() {
		return errors.New("ports need one of the protocols tcp, udp, udplite, sctp or dccp")
	}
	for _, one := range p {
		if !one.valid() {
			return fmt.Errorf("the range %v ends before it begins", Ports{one})
		}
		if one == (PortRange{Last: math.MaxUint16}) && r.not(m) {
			return errors.New("no packet matches: every port is in 0-65535")
		}
	}
	return nil
}

func (r Rule) checkEitherPort() error {
	if len(r.Port) > 0 && len(r.SrcPort)+len(r.DstPort) > 0 {
		return errors.New("a port of either side cannot be combined with a source or " +
			"destination port")
	}
	return r.checkPorts(r.Port, MatchPort)
}

func (r Rule) checkICMPType() error {
	known := r.Protocol == ICMP || r.Protocol == ICMPv6
	if r.ICMPType.set && known && r.not(MatchProtocol) {
		return fmt.Errorf("a type needs a protocol, and all but %v match; negate the type only",
			r.Protocol)
	}
	if r.ICMPType.set && !known {
		return errors.New("a type needs one of the protocols icmp or icmpv6")
	}
	return nil
}

// checkCgroup allows the hooks at which nf_tables looks for the socket (nft_socket_validate).
func (r Rule) checkCgroup() error {
	const mounted = "/sys/fs/cgroup/"
	bad := func(c rune) bool {
		return c == '"' || c == '\'' || c == utf8.RuneError || unicode.IsSpace(c) || !unicode.IsGraphic(c)
	}
	switch {
	case r.Cgroup == "":
		return nil
	case r.Cgroup == "/":
		return errors.New("every program is in the control group /; name one below it")
	case strings.HasPrefix(r.Cgroup, mounted):
		return fmt.Errorf("the path of a control group begins where it is mounted, as in "+
			"/proc/PID/cgroup: %s", r.Cgroup[len(mounted)-1:])
	case strings.ContainsFunc(r.Cgroup, bad):
		return fmt.Errorf("%q is not the path of a control group", r.Cgroup)
	case r.Family == nfqueue.FamilyBridge:
		return errors.New("the socket of a bridged packet is not known")
	case r.Hook == nfqueue.HookForward:
		return errors.New("a forwarded packet is of no socket; use in, out or prerouting")
	case r.Hook == nfqueue.HookPostrouting:
		return errors.New("nf_tables does not look for the socket at postrouting; use out")
	}
	return nil
}

func (r Rule) checkNot() error {
	for _, field := range slices.Sorted(maps.Keys(matchOfField)) {
		m := matchOfField[field]
		if r.not(m) && r.set()&m == 0 {
			return fmt.Errorf("%s is negated and not set", field)
		}
		r.Not &^= m
	}
	if r.Not != 0 {
		return fmt.Errorf("unknown bits %#x", uint32(r.Not))
	}
	return nil
}

func (r Rule) checkOwner(o OwnerID) error {
	if o.set && o.number == math.MaxUint32 {
		return fmt.Errorf("no user or group has the number %d", o.number)
	}
	if o.set && r.Hook != nfqueue.HookOutput && r.Hook != nfqueue.HookPostrouting {
		return errors.New("the sender is known at output and postrouting only")
	}
	if o.set && r.Family == nfqueue.FamilyBridge {
		return errors.New("the sender of a bridged packet is not known")
	}
	return nil
}

func checkMark(value, mask uint32) error {
	if outside := value &^ mask; outside != 0 {
		return fmt.Errorf("no mark matches: the bits %#x are not in the mask %#x", outside, mask)
	}
	return nil
}

// conntrackPriority is NF_IP_PRI_CONNTRACK, where conntrack first sees a packet.
const conntrackPriority = -200

// lastPriority is NF_IP_PRI_LAST.
const lastPriority = math.MaxInt32

// checkTracked refuses where conntrack has not seen the packet.
func (r Rule) checkTracked(unknown string) error {
	first := r.Hook == nfqueue.HookPrerouting || r.Hook == nfqueue.HookOutput
	if first && r.Priority <= conntrackPriority {
		return fmt.Errorf("%s not known yet at priority %d of %v; use one above %d", unknown,
			r.Priority, r.Hook, conntrackPriority)
	}
	return nil
}

func (r Rule) checkCTState() error {
	if unknown := r.CTState &^ allCTStates; unknown != 0 {
		return fmt.Errorf("unknown states %v", unknown)
	}
	if r.CTState == 0 {
		return nil
	}
	if r.CTState == allCTStates && r.not(MatchCTState) {
		return fmt.Errorf("no packet matches: every state is one of %v", r.CTState)
	}
	return r.checkTracked("the state is")
}

func (r Rule) checkCTMark() error {
	if r.CTMarkMask == 0 {
		return nil
	}
	if err := checkMark(r.CTMark, r.CTMarkMask); err != nil {
		return err
	}
	return r.checkTracked("the connection is")
}

func (r Rule) checkCounted(limit uint64) error {
	if limit == 0 {
		return nil
	}
	return r.checkTracked("the connection is")
}

func (r Rule) checkQueues() error {
	if last := int(r.Queue) + int(r.Queues) - 1; last > 65535 {
		return fmt.Errorf("the last queue would be %d; the highest number is 65535", last)
	}
	return nil
}

func (r Rule) checkFanout() error {
	if r.Fanout && r.Queues < 2 {
		return errors.New("fanout chooses among several queues, and there is only one")
	}
	return nil
}
