// SPDX-License-Identifier: GPL-2.0-or-later

// Package pcapng records packets that went through a queue in files that Wireshark,
// tshark and others read (draft-ietf-opsawg-pcapng): with the names of interfaces,
// nanoseconds, the direction, the number of the queue, and a comment that says what
// was decided and what the kernel said, see Comment.
package pcapng

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Writer writes one file. It is not safe for concurrent use.
type Writer struct {
	out     io.Writer
	ng      *pcapgo.NgWriter // nil until there is an interface: a file starts with one
	section pcapgo.NgSectionInfo
	snap    uint32
	index   map[link]int
}

// linkRaw is the type of interfaces whose packets begin with the IP header: DLT_RAW of Linux. The
// registered LINKTYPE_RAW, 101, is the same to all readers, but libpcap, and with it tcpdump, refuses
// a file with a second interface of that type, because it compares 101 with the DLT_RAW of the first.
const linkRaw layers.LinkType = 12

// link is what an interface of a file stands for.
type link struct {
	name string
	typ  layers.LinkType
}

// NewWriter makes a writer to out. Snap is the number of bytes that were copied of each packet, 0
// for all. The comment says how the file came about. Nothing is written before the first packet.
func NewWriter(out io.Writer, snap uint32, application, comment string) *Writer {
	return &Writer{
		out: out, snap: snap, index: make(map[link]int),
		section: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: runtime.GOOS,
			Application: application, Comment: comment},
	}
}

// Write adds a packet, of the bridge family with its link-layer header, of others from
// the network header on. It is in the file after Flush at the latest.
func (w *Writer) Write(r *packetview.Record) error {
	l := link{name: r.Device(), typ: linkRaw}
	data, length := r.Data, r.Length
	if header := linkHeader(r); header != nil {
		l.typ = layers.LinkTypeEthernet
		data, length = append(header, data...), length+len(header)
	}
	index, err := w.add(l)
	if err != nil {
		return err
	}
	options := pcapgo.NgPacketOptions{
		Comments: []string{Comment(r)},
		Flags:    &pcapgo.NgEpbFlags{Direction: direction(r.Hook)},
	}
	if !r.Unqueued {
		queue := uint32(r.Queue)
		options.Queue = &queue
	}
	at := r.Time
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	if r.Missed > 0 {
		options.DropCount = &r.Missed
	}
	return w.ng.WritePacketWithOptions(gopacket.CaptureInfo{
		Timestamp: at, CaptureLength: len(data), Length: max(length, len(data)), InterfaceIndex: index,
	}, data, options)
}

// Flush hands everything to the operating system. A file without a packet gets its header.
func (w *Writer) Flush() error {
	if w.ng == nil {
		if _, err := w.add(link{name: "nfqueue", typ: linkRaw}); err != nil {
			return err
		}
	}
	return w.ng.Flush()
}

// add returns the index of an interface, which is written when it is new.
func (w *Writer) add(l link) (int, error) {
	if i, ok := w.index[l]; ok {
		return i, nil
	}
	description := pcapgo.NgInterface{Name: l.name, LinkType: l.typ, SnapLength: w.snap}
	if w.snap != 0 && l.typ == layers.LinkTypeEthernet {
		description.SnapLength += maxLinkHeader
	}
	i, err := 0, error(nil)
	if w.ng == nil {
		w.ng, err = pcapgo.NewNgWriterInterface(w.out, description,
			pcapgo.NgWriterOptions{SectionInfo: w.section})
	} else {
		i, err = w.ng.AddInterface(description)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", l.name, err)
	}
	w.index[l] = i
	return i, nil
}

// direction tells how a packet passed the interface that Record.Device names. One that
// is forwarded has come in through it.
func direction(h nfqueue.Hook) pcapgo.NgEpbFlag {
	if h == nfqueue.HookOutput || h == nfqueue.HookPostrouting {
		return pcapgo.NgEpbFlagDirectionOutbound
	}
	return pcapgo.NgEpbFlagDirectionInbound
}

// maxLinkHeader is the length of an Ethernet header with a VLAN tag.
const maxLinkHeader = 18

// linkHeader returns the Ethernet header of a packet as it was on the wire, nil if the kernel did
// not tell.
func linkHeader(r *packetview.Record) []byte {
	const addresses = 12 // of destination and source
	if len(r.LinkHeader) != addresses+2 {
		return nil
	}
	header := append([]byte(nil), r.LinkHeader...)
	if v := r.VLAN; v != nil {
		header = append(header[:addresses], byte(v.Protocol>>8), byte(v.Protocol), byte(v.TCI>>8),
			byte(v.TCI))
		header = append(header, r.LinkHeader[addresses:]...)
	}
	return header
}
