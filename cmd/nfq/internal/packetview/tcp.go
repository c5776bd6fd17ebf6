// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"fmt"
	"strings"

	"github.com/gopacket/gopacket/layers"
)

// tcp is a TCP header (RFC 9293).
type tcp struct {
	Flags  string `json:"flags"` // in the letters of tcpdump
	Seq    uint32 `json:"seq"`
	Ack    uint32 `json:"ack,omitempty"`
	Window uint16 `json:"window"`
	MSS    uint16 `json:"mss,omitempty"`

	hasAck bool
}

func newTCP(h *layers.TCP) *tcp {
	t := &tcp{Seq: h.Seq, Ack: h.Ack, Window: h.Window, hasAck: h.ACK}
	var flags strings.Builder
	for _, f := range []struct {
		set    bool
		letter byte
	}{{h.FIN, 'F'}, {h.SYN, 'S'}, {h.RST, 'R'}, {h.PSH, 'P'}, {h.ACK, '.'}, {h.URG, 'U'}, {h.ECE, 'E'},
		{h.CWR, 'W'}} {
		if f.set {
			flags.WriteByte(f.letter)
		}
	}
	t.Flags = flags.String()
	if t.Flags == "" {
		t.Flags = "none"
	}
	for _, o := range h.Options {
		if o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2 {
			t.MSS = uint16(o.OptionData[0])<<8 | uint16(o.OptionData[1])
		}
	}
	return t
}

// text describes a segment that carries length bytes.
func (t *tcp) text(length int) string {
	s := fmt.Sprintf("Flags [%s], seq %d", t.Flags, t.Seq)
	if length > 0 {
		s += fmt.Sprintf(":%d", t.Seq+uint32(length))
	}
	if t.hasAck {
		s += fmt.Sprintf(", ack %d", t.Ack)
	}
	s += fmt.Sprintf(", win %d", t.Window)
	if t.MSS != 0 {
		s += fmt.Sprintf(", mss %d", t.MSS)
	}
	return s
}
