// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
)

// hookWords are the hooks in the text form, by their number.
var hookWords = [...]string{"prerouting", "in", "forward", "out", "postrouting"}

// String returns the rule in the text form that Parse reads.
func (r Rule) String() string {
	r = r.normal()
	words := []string{hookWord(r.Hook)}
	add := func(w ...string) { words = append(words, w...) }
	if r.Family != 0 {
		add(r.Family.String())
	}
	set := r.set()
	match := func(m Match, w ...string) {
		if r.not(m) && set&m != 0 {
			add("not")
		}
		if set&m != 0 {
			add(w...)
		}
	}
	if _, named := protocolNames[r.Protocol]; named {
		match(MatchProtocol, protocolText(r.Protocol))
	} else {
		match(MatchProtocol, "proto", protocolText(r.Protocol))
	}
	match(MatchICMPType, "type", r.ICMPType.name(r.Protocol))
	match(MatchInDevName, "iif", r.InDevName)
	match(MatchOutDevName, "oif", r.OutDevName)
	match(MatchSrc, "saddr", strings.Join(addresses(r.Src), ","))
	match(MatchDst, "daddr", strings.Join(addresses(r.Dst), ","))
	match(MatchSrcPort, "sport", r.SrcPort.String())
	match(MatchDstPort, "dport", r.DstPort.String())
	match(MatchPort, "port", r.Port.String())
	match(MatchUID, "uid", r.UID.String())
	match(MatchGID, "gid", r.GID.String())
	match(MatchCgroup, "cgroup", r.Cgroup)
	match(MatchMark, "mark", markText(r.Mark, r.MarkMask))
	match(MatchCTState, "ct", r.CTState.String())
	match(MatchCTMark, "ctmark", markText(r.CTMark, r.CTMarkMask))
	if r.FirstPackets != 0 {
		add("packets", strconv.FormatUint(r.FirstPackets, 10))
	}
	if r.FirstBytes != 0 {
		add("bytes", strconv.FormatUint(r.FirstBytes, 10))
	}
	if r.Priority != 0 {
		add("priority", strconv.Itoa(int(r.Priority)))
	}
	if r.Queue != 0 || r.Queues != 1 {
		add("queue", r.queues("-"))
	}
	if r.Fanout {
		add("fanout")
	}
	if r.NoBypass {
		add("nobypass")
	}
	if r.Offload.Mask != 0 {
		add("offload")
	}
	if r.Offload.Mask != 0 && r.Offload.Mask != DefaultOffload.Mask {
		add(fmt.Sprintf("%#x", r.Offload.Mask))
	}
	if r.Offload.NoReject {
		add("noreject")
	}
	return strings.Join(words, " ")
}

func hookWord(h nfqueue.Hook) string {
	if int(h) < len(hookWords) {
		return hookWords[h]
	}
	return h.String()
}

// addresses returns prefixes, without their length if that is all bits.
func addresses(all []netip.Prefix) []string {
	var texts []string
	for _, p := range all {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		texts = append(texts, text)
	}
	return texts
}

// markText returns "0x1", or "0x1/0xff" with a mask.
func markText(value, mask uint32) string {
	if mask == ^uint32(0) {
		return fmt.Sprintf("%#x", value)
	}
	return fmt.Sprintf("%#x/%#x", value, mask)
}

// queues returns "3", or "3-5" for several.
func (r Rule) queues(separator string) string {
	first := strconv.Itoa(int(r.Queue))
	if r.Queues <= 1 {
		return first
	}
	return first + separator + strconv.Itoa(int(r.lastQueue()))
}
