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
	if _, named := protocolNames[r.Protocol]; named {
		add(protocolText(r.Protocol))
	} else if r.Protocol != 0 {
		add("proto", protocolText(r.Protocol))
	}
	if r.ICMPType.set {
		add("type", r.ICMPType.name(r.Protocol))
	}
	optional := func(word, value string) {
		if value != "" {
			add(word, value)
		}
	}
	optional("iif", r.InDevName)
	optional("oif", r.OutDevName)
	optional("saddr", address(r.Src))
	optional("daddr", address(r.Dst))
	optional("sport", r.SrcPort.String())
	optional("dport", r.DstPort.String())
	optional("port", r.Port.String())
	if r.UID.set {
		add("uid", r.UID.String())
	}
	if r.GID.set {
		add("gid", r.GID.String())
	}
	if r.MarkMask != 0 {
		add("mark", markText(r.Mark, r.MarkMask))
	}
	optional("ct", r.CTState.String())
	if r.CTMarkMask != 0 {
		add("ctmark", markText(r.CTMark, r.CTMarkMask))
	}
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

// address returns a prefix, without its length if that is all bits, or nothing if
// there is none.
func address(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
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
