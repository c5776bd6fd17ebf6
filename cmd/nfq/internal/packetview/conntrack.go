// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/conntrack"
)

// Conntrack is what conntrack knows about the connection of a packet, in the words
// of nft and the kernel.
type Conntrack struct {
	State    string `json:"state"`
	ID       uint32 `json:"id,omitempty"`
	Status   string `json:"status,omitempty"`
	Protocol string `json:"protocol_state,omitempty"` // of TCP, SCTP or DCCP
	Mark     uint32 `json:"mark,omitempty"`
	Zone     uint16 `json:"zone,omitempty"`
	Labels   string `json:"labels,omitempty"` // hexadecimal
	Timeout  string `json:"timeout,omitempty"`
	Helper   string `json:"helper,omitempty"`
	SecCtx   string `json:"secctx,omitempty"`
	Original string `json:"original,omitempty"`
	Reply    string `json:"reply,omitempty"`
	Master   string `json:"master,omitempty"`
	Counters string `json:"counters,omitempty"`
}

// conntrackOf returns nil if the kernel did not tell.
func conntrackOf(p *nfqueue.Packet) *Conntrack {
	state, ok := p.ConnState()
	if !ok {
		return nil
	}
	c := &Conntrack{State: state.String()}
	e, ok := p.Conntrack()
	if !ok {
		return c
	}
	c.ID, _ = e.ID()
	if s := e.Status(); s != 0 {
		c.Status = s.String()
	}
	if tcp, ok := e.TCP(); ok {
		c.Protocol = tcp.State.String()
	} else if sctp, ok := e.SCTP(); ok {
		c.Protocol = sctp.State.String()
	} else if dccp, ok := e.DCCP(); ok {
		c.Protocol = dccp.State.String()
	}
	c.Mark, c.Zone = e.Mark(), e.Zone()
	if l := e.Labels(); len(bytes.Trim(l, "\x00")) > 0 {
		c.Labels = hex.EncodeToString(l)
	}
	if t, ok := e.Timeout(); ok {
		c.Timeout = t.String()
	}
	c.Helper, c.SecCtx = printable(e.Helper()), printable(e.SecurityContext())
	tuple := func(t conntrack.Tuple, ok bool) string {
		if !ok {
			return ""
		}
		return t.String()
	}
	c.Original, c.Reply, c.Master = tuple(e.Original()), tuple(e.Reply()), tuple(e.Master())
	if original, reply, ok := e.Counters(); ok {
		c.Counters = fmt.Sprintf("%d packets %d bytes, reply %d packets %d bytes",
			original.Packets, original.Bytes, reply.Packets, reply.Bytes)
	}
	return c
}
