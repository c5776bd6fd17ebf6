// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// arguments has the field of Rule that each keyword with a value sets.
var arguments = map[string]string{
	"proto":    "Protocol",
	"type":     "ICMPType",
	"iif":      "InDevName",
	"oif":      "OutDevName",
	"saddr":    "Src",
	"daddr":    "Dst",
	"sport":    "SrcPort",
	"dport":    "DstPort",
	"port":     "Port",
	"uid":      "UID",
	"gid":      "GID",
	"cgroup":   "Cgroup",
	"mark":     "Mark",
	"ct":       "CTState",
	"ctmark":   "CTMark",
	"packets":  "FirstPackets",
	"bytes":    "FirstBytes",
	"priority": "Priority",
	"queue":    "Queues",
}

// set sets the field of a keyword. The error says what was expected.
func (p *parser) set(keyword, v string) (err error) {
	r := &p.rule
	switch keyword {
	case "proto":
		r.Protocol, err = protocolNumber(v)
	case "type":
		err = p.keepType(v)
	case "iif":
		r.InDevName, err = v, ifaceGiven(v)
	case "oif":
		r.OutDevName, err = v, ifaceGiven(v)
	case "saddr":
		r.Src, err = prefixes(v)
	case "daddr":
		r.Dst, err = prefixes(v)
	case "sport":
		r.SrcPort, err = ports(v)
	case "dport":
		r.DstPort, err = ports(v)
	case "port":
		r.Port, err = ports(v)
	case "uid":
		r.UID, err = ownerID(v)
	case "gid":
		r.GID, err = ownerID(v)
	case "cgroup":
		r.Cgroup, err = cgroup(v)
	case "mark":
		r.Mark, r.MarkMask, err = mark(v)
	case "ct":
		r.CTState, err = ctState(v)
	case "ctmark":
		r.CTMark, r.CTMarkMask, err = mark(v)
	case "packets":
		r.FirstPackets, err = limit(v)
	case "bytes":
		r.FirstBytes, err = limit(v)
	case "priority":
		r.Priority, err = priority(v)
	case "queue":
		r.Queue, r.Queues, err = queues(v)
	}
	return err
}

func protocolNumber(s string) (Protocol, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 {
		return 0, errors.New("expected the number of a protocol, 1 to 255")
	}
	return Protocol(n), nil
}

func (p *parser) keepType(s string) error {
	p.typ = p.given["ICMPType"]
	if s == "" {
		return errors.New("expected an ICMP or ICMPv6 type, such as echo-request or 8")
	}
	return nil
}

// icmpType reads a type by the names of the protocol.
func icmpType(p Protocol, s string) (ICMPType, error) {
	names := icmpOfName
	switch p {
	case ICMP:
	case ICMPv6:
		names = icmpv6OfName
	default:
		return ICMPType{}, errors.New("a type needs one of the protocols icmp or icmpv6")
	}
	if n, ok := names[s]; ok {
		return NewICMPType(n), nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return ICMPType{}, fmt.Errorf("expected a type of %v, such as echo-request, "+
			"or a number up to 255", p)
	}
	return NewICMPType(uint8(n)), nil
}

func ifaceGiven(s string) error {
	if s == "" {
		return errors.New("expected the name of an interface")
	}
	return nil
}

func cgroup(s string) (string, error) {
	if s == "" {
		return "", errors.New("expected the path of a control group, such as " +
			"/system.slice/sshd.service")
	}
	return s, nil
}

func prefixes(s string) (all []netip.Prefix, err error) {
	for one := range strings.SplitSeq(s, ",") {
		p, err := prefix(one)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("expected an address or a prefix, such as 192.0.2.1, " +
			"192.0.2.0/24 or 2001:db8::/32, or several with commas between them")
	}
	return p, nil
}

// numbers reads "N" or "N-M".
func numbers(s string) (first, last uint16, ok bool) {
	a, b, several := strings.Cut(s, "-")
	if !several {
		b = a
	}
	from, err := strconv.ParseUint(a, 10, 16)
	to, err2 := strconv.ParseUint(b, 10, 16)
	return uint16(from), uint16(to), err == nil && err2 == nil
}

func ports(s string) (all Ports, err error) {
	for one := range strings.SplitSeq(s, ",") {
		first, last, ok := numbers(one)
		if !ok {
			return nil, errors.New("expected a port, 0 to 65535, a range such as 80-90, or several " +
				"with commas between them")
		}
		if last < first {
			return nil, fmt.Errorf("the range %s ends before it begins", one)
		}
		all = append(all, PortRange{first, last})
	}
	return all, nil
}

func mark(s string) (value, mask uint32, err error) {
	v, m, masked := strings.Cut(s, "/")
	value, ok := bits32(v)
	mask = ^uint32(0)
	if ok && masked {
		mask, ok = bits32(m)
		ok = ok && mask != 0
	}
	if !ok {
		return 0, 0, errors.New("expected a mark of 32 bits, such as 1 or 0xff, or one with a " +
			"mask that is not zero, such as 0x1/0xff")
	}
	return value, mask, nil
}

// limit reads how many packets or bytes count as the first ones.
func limit(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, errors.New("expected how many are the first ones, such as 10")
	}
	return n, nil
}

// offloadMask reads the mask that may follow the word offload.
func (p *parser) offloadMask() error {
	p.rule.Offload.Mask = DefaultOffload.Mask
	if p.next == len(p.words) || !startsNumber(p.words[p.next].Text) {
		return nil
	}
	w := p.take()
	mask, ok := bits32(w.Text)
	if !ok || mask == 0 {
		return p.error(w, errors.New("expected a mask of two bits, such as 0x300"))
	}
	p.rule.Offload.Mask = mask
	return nil
}

func startsNumber(s string) bool { return s[0] >= '0' && s[0] <= '9' }

func bits32(s string) (uint32, bool) {
	base := 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = hex, 16
	}
	n, err := strconv.ParseUint(s, base, 32)
	return uint32(n), err == nil
}

func ownerID(s string) (OwnerID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return OwnerID{}, errors.New("expected the number of a user or group, such as 1000")
	}
	return NewOwnerID(uint32(n)), nil
}

func ctState(s string) (CTState, error) {
	var states CTState
next:
	for name := range strings.SplitSeq(s, ",") {
		for _, c := range ctStates {
			if c.name == name {
				states |= c.state
				continue next
			}
		}
		return 0, errors.New("expected connection tracking states, such as new or " +
			"established,related; there are new, established, related, invalid, untracked")
	}
	return states, nil
}

func priority(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, errors.New("expected a priority, such as -150; lower ones come first")
	}
	return int32(n), nil
}

func queues(s string) (first, count uint16, err error) {
	first, last, ok := numbers(s)
	if !ok {
		return 0, 0, errors.New("expected the number of a queue, 0 to 65535, " +
			"or a range such as 3-5")
	}
	if last < first {
		return 0, 0, errors.New("the range ends before it begins")
	}
	if first == 0 && last == 65535 {
		return 0, 0, errors.New("a rule spreads packets over at most 65535 queues")
	}
	return first, last - first + 1, nil
}
