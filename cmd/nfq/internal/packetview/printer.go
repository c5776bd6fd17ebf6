// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"fmt"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Printer says how packets are printed as text.
type Printer struct {
	Colour  bool // with the escape sequences of ECMA-48
	Verbose bool // a second paragraph with everything that the kernel said
	Brief   bool // of protocols only their names
	Hex     bool // the bytes of the packet, from the network header on
	ASCII   bool // the same as text
	Stamp   Stamp

	last time.Time // of the packet before
}

// Stamp is how times are printed, as by tcpdump with as many -t.
type Stamp int

// The stamps.
const (
	StampClock Stamp = iota
	StampNone
	StampUnix
	StampSince // since the packet before
	StampDate
)

// stamp returns the time of a packet, with a space behind.
func (p *Printer) stamp(r *Record) string {
	at, before := r.Time, p.last
	p.last = at
	const clock = "15:04:05.000000"
	text := "--:--:--.------"
	switch {
	case p.Stamp == StampNone:
		return ""
	case at.IsZero():
	case p.Stamp == StampUnix:
		text = fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000)
	case p.Stamp == StampSince:
		var since time.Duration
		if !before.IsZero() {
			since = at.Sub(before)
		}
		sign := ""
		if since < 0 {
			sign, since = "-", -since
		}
		text = sign + time.Unix(0, since.Nanoseconds()).UTC().Format(clock)
	case p.Stamp == StampDate:
		text = at.Format("2006-01-02 " + clock)
	default:
		text = at.Format(clock)
	}
	return p.paint(dim, text) + " "
}

// Append appends the text of a packet to b, which ends with a newline.
func (p *Printer) Append(b []byte, r *Record) []byte {
	d := decodeRecord(r)
	b = p.line(b, r, d)
	if p.Verbose {
		b = appendMeta(b, r, d)
	}
	if p.Hex {
		b = appendHex(b, r.Data)
	}
	if p.ASCII {
		b = appendASCII(b, r.Data)
	}
	return b
}

// Colours of ECMA-48 (SGR).
const (
	bold   = 1
	dim    = 2
	red    = 31
	yellow = 33
	cyan   = 36
)

func (p *Printer) paint(colour int, text string) string {
	if !p.Colour || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

// line appends the line of a packet:
//
//	15:04:05.123456 eth0 output IP 192.0.2.1:40000 > 192.0.2.2:53: UDP, length 29: DNS 4660+ A? example.com.
func (p *Printer) line(b []byte, r *Record, d *decoded) []byte {
	if r.Missed > 0 {
		b = fmt.Appendf(b, "%s\n", p.paint(yellow, fmt.Sprintf("... %d packets came too fast to be shown",
			r.Missed)))
	}
	b = fmt.Appendf(b, "%s%s %v ", p.stamp(r), r.devices(), r.Hook)
	switch {
	case r.LinkType != "":
		b = fmt.Appendf(b, "link type %s, length %d", r.LinkType, r.Length)
	case d.Version == 0:
		b = fmt.Appendf(b, "ethertype 0x%04x, length %d", r.EtherType, r.Length)
		if len(r.Data) == 0 {
			b = append(b, ", not copied"...)
		}
	default:
		name := "IP"
		if d.Version == 6 {
			name = "IP6"
		}
		b = fmt.Appendf(b, "%s %s > %s: %s", name, end(d.Src, d.SrcPort), end(d.Dst, d.DstPort),
			p.transport(d))
		if p.Brief {
			break
		}
		if app := d.application(); app != "" {
			b = fmt.Appendf(b, ": %s", p.paint(bold, app))
		}
		if d.Problem != "" {
			b = fmt.Appendf(b, " (%s)", p.paint(yellow, d.Problem))
		}
	}
	switch {
	case r.Unqueued:
		b = fmt.Appendf(b, " [%s]", p.paint(dim, "not queued"))
	case r.Verdict == nfqueue.Accept:
	case r.Verdict == nfqueue.Drop:
		b = fmt.Appendf(b, " [%s]", p.paint(red, r.Verdict.String()))
	default:
		b = fmt.Appendf(b, " [%s]", p.paint(cyan, r.Verdict.String()))
	}
	return append(b, '\n')
}

// transport describes the transport header.
func (p *Printer) transport(d *decoded) string {
	if p.Brief {
		return fmt.Sprintf("%s, length %d", ianaName(d.number()), d.length)
	}
	return d.transportText()
}

// devices returns "eth0", or "eth0>eth1" for a packet that goes through.
func (r *Record) devices() string {
	in, out := r.In, r.Out
	if r.PhysIn != "" {
		in = r.PhysIn
	}
	if r.PhysOut != "" {
		out = r.PhysOut
	}
	switch {
	case in == "" && out == "":
		return "-"
	case in == "":
		return printable(out)
	case out == "":
		return printable(in)
	}
	return printable(in) + ">" + printable(out)
}

// transportText describes the transport header.
func (d *decoded) transportText() string {
	s := ianaName(d.number())
	switch {
	case d.Fragment != nil && d.Fragment.Offset > 0:
		return fmt.Sprintf("%s, fragment at %d of id %d, length %d", s, d.Fragment.Offset, d.Fragment.ID,
			d.length)
	case d.TCP != nil:
		s += " " + d.TCP.text(d.length)
	case d.ICMP != nil:
		s += " " + d.ICMP.text()
	}
	s += fmt.Sprintf(", length %d", d.length)
	if d.Fragment != nil {
		s += fmt.Sprintf(", first fragment of id %d", d.Fragment.ID)
	}
	return s
}

// application describes what the transport protocol carries, "" if it is not known.
func (d *decoded) application() string {
	switch {
	case d.DNS != nil:
		return d.DNS.text()
	case d.TLS != nil:
		return "TLS " + d.TLS.text()
	case d.QUIC != nil:
		return "QUIC " + d.QUIC.text()
	}
	return d.HTTP
}
