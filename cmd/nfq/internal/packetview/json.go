// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// object is a packet in JSON. What does not apply is left out.
type object struct {
	Number    int       `json:"number,omitempty"`
	Time      string    `json:"time,omitempty"` // RFC 3339, nanoseconds
	Queue     *uint16   `json:"queue,omitempty"`
	ID        *uint32   `json:"id,omitempty"`
	Verdict   string    `json:"verdict,omitempty"`
	SetMark   *uint32   `json:"set_mark,omitempty"`
	Took      int64     `json:"took_ns,omitempty"`
	LinkType  string    `json:"link_type,omitempty"` // one that is not known
	Missed    uint64    `json:"missed,omitempty"`    // packets before this one that came too fast
	Family    string    `json:"family"`
	Hook      string    `json:"hook"`
	EtherType string    `json:"ethertype"`
	In        string    `json:"in,omitempty"`
	Out       string    `json:"out,omitempty"`
	PhysIn    string    `json:"phys_in,omitempty"`
	PhysOut   string    `json:"phys_out,omitempty"`
	Mark      uint32    `json:"mark"`
	Priority  uint32    `json:"priority,omitempty"`
	HWAddr    string    `json:"hwaddr,omitempty"`
	UID       *uint32   `json:"uid,omitempty"`
	GID       *uint32   `json:"gid,omitempty"`
	Processes []process `json:"processes,omitempty"`
	ClassID   uint32    `json:"net_cls,omitempty"`
	SecCtx    string    `json:"secctx,omitempty"`
	SKBInfo   string    `json:"skb_info,omitempty"`
	VLAN      *vlan     `json:"vlan,omitempty"`
	L2        string    `json:"link_header,omitempty"` // hexadecimal
	Length    int       `json:"length"`
	Captured  int       `json:"captured"`
	*decoded
	Summary   string     `json:"summary"`
	Conntrack *Conntrack `json:"conntrack,omitempty"`
	Payload   string     `json:"payload,omitempty"` // hexadecimal, from the network header on
}

type process struct {
	PID    int    `json:"pid"`
	Name   string `json:"name"`
	Cgroup string `json:"cgroup,omitempty"`
}

type vlan struct {
	ID       uint16 `json:"id"`
	Priority uint16 `json:"priority"`
	Protocol string `json:"protocol"`
}

// AppendJSON appends a packet as an object in JSON and a newline, with its bytes if
// payload is set.
func AppendJSON(b []byte, r *Record, payload bool) []byte {
	d := decodeRecord(r)
	o := object{
		Number: r.Number, SetMark: r.SetMark, Took: r.Took.Nanoseconds(), LinkType: r.LinkType,
		Missed: r.Missed,
		Family: r.Family.String(), Hook: r.Hook.String(), EtherType: fmt.Sprintf("0x%04x", r.EtherType),
		In: printable(r.In), Out: printable(r.Out), PhysIn: printable(r.PhysIn),
		PhysOut: printable(r.PhysOut),
		Mark:    r.Mark, Priority: r.Priority, HWAddr: r.HardwareAddr.String(), ClassID: r.CgroupClassID,
		SecCtx: printable(r.SecurityContext), L2: hex.EncodeToString(r.LinkHeader),
		Length: r.Length, Captured: len(r.Data), decoded: d, Conntrack: r.Conntrack,
	}
	if !r.Time.IsZero() {
		o.Time = r.Time.UTC().Format(time.RFC3339Nano)
	}
	if !r.Unqueued {
		o.Queue, o.ID, o.Verdict = &r.Queue, &r.ID, r.Verdict.String()
	}
	if r.Owner != nil {
		o.UID, o.GID = &r.Owner.UID, &r.Owner.GID
	}
	for _, p := range r.Processes {
		o.Processes = append(o.Processes, process{p.PID, printable(p.Name), printable(p.Cgroup)})
	}
	if r.SKBInfo != 0 {
		o.SKBInfo = r.SKBInfo.String()
	}
	if v := r.VLAN; v != nil {
		o.VLAN = &vlan{v.ID(), v.TCI >> 13, fmt.Sprintf("0x%04x", v.Protocol)}
	}
	if o.Version != 0 {
		o.Summary = o.transportText()
		if app := o.application(); app != "" {
			o.Summary += ": " + app
		}
	}
	if payload {
		o.Payload = hex.EncodeToString(r.Data)
	}
	text := bytes.NewBuffer(b)
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&o); err != nil { // every field is text or a number
		panic(err)
	}
	return text.Bytes()
}
