// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import "github.com/chifflier/nfqueue-go"

// single is what nf_tables can say in one rule.
type single struct {
	Rule // without Port
	has  transportHeader
}

// transportHeader is how a packet is known to have its transport header. nf_tables reads ports from
// where they would be also in a later fragment, which has other data there.
type transportHeader int

const (
	anyPacket    transportHeader = iota
	firstIPv4                    // the fragment offset is 0
	unfragmented                 // IPv6 without a fragment header
	firstIPv6                    // IPv6 with a fragment header whose offset is 0
)

// network returns the family that the condition is for, or that of the Rule.
func (r single) network() nfqueue.Family {
	switch r.has {
	case firstIPv4:
		return nfqueue.FamilyIPv4
	case unfragmented, firstIPv6:
		return nfqueue.FamilyIPv6
	}
	return r.Rule.network()
}

// singles returns the rules that match the same together. They exclude each other in effect: what
// one queues does not reach the next. Packets that have a port at neither side are those that have
// it not at the one and not at the other, which one rule says.
func (r Rule) singles() []single {
	sides := []Rule{r}
	src, dst := r, r
	src.Port, src.SrcPort = nil, r.Port
	dst.Port, dst.DstPort = nil, r.Port
	switch {
	case r.not(MatchPort):
		src.DstPort = r.Port
		src.Not = r.Not&^MatchPort | MatchSrcPort | MatchDstPort
		sides = []Rule{src}
	case len(r.Port) > 0:
		sides = []Rule{src, dst}
	}
	var all []single
	for _, side := range sides {
		for _, has := range r.transportHeaders() {
			all = append(all, single{side, has})
		}
	}
	return all
}

func (r Rule) transportHeaders() []transportHeader {
	if !r.hasPorts() && !r.ICMPType.set {
		return []transportHeader{anyPacket}
	}
	switch r.network() {
	case nfqueue.FamilyIPv4:
		return []transportHeader{firstIPv4}
	case nfqueue.FamilyIPv6:
		return []transportHeader{unfragmented, firstIPv6}
	}
	return []transportHeader{firstIPv4, unfragmented, firstIPv6}
}
