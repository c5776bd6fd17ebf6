// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/pcapread"
)

// Replayed is a packet of a capture and its fate.
type Replayed struct {
	// Number counts the packets of the file, from 1.
	Number int
	// Spec is the packet as the handler saw it. Its Time is that of the capture.
	Spec Spec
	// LinkType is the type of the frame's link header: a LINKTYPE_ value of the registry at
	// tcpdump.org.
	LinkType uint16
	// Result is the packet's fate. The Cause is NotIP or UnknownLink if the packet never reached a
	// queue.
	Result
	// Took is the time that the handler took.
	Took time.Duration
}

// Replay shows the packets of a capture to a handler, one after the other, and yields the fate of
// each. The capture is a pcap or pcapng file of tcpdump, Wireshark or nfq dump, which may be
// compressed with gzip. Replay reads it while the loop runs, so there can be one loop only. Records
// of more than 262144 bytes are an error, as for tcpdump.
//
// The handler sees packets as a kernel would show them: from the network header on, without
// padding, and cut where the capture is cut, with the original length. Replay removes link headers
// (Ethernet, Linux "cooked" captures, BSD loopback, PPP, Frame Relay, IEEE 802.11 and a few more)
// and what the kernel's interfaces would remove: VLAN tags, MPLS labels, PPPoE. Packets other than
// IP pass by the queue. With Spec.Family FamilyBridge the handler sees all Ethernet frames, with
// link header and VLAN tag.
//
// s has what the file does not say, for all packets: the hook, marks, owners. The file replaces its
// Payload, FullLen, EtherType, Time, HardwareAddr, LinkHeader and VLAN, and the name of the
// interface if s has none. Config, the goroutine of the handler and Spec.Match are as with Do, but
// Replay chooses Config.Batch and Config.MaxLen itself.
//
// Replay sends a packet when the one before has its verdict or is deferred, so results come in the
// order of the file. Deferred packets come when they are decided; at the end of the file Replay
// waits for them for 10 seconds. Replay does not wait between packets; a loop that wants their pace
// sleeps by Spec.Time.
//
// The loop ends with an error, which names the packet, if the file cannot be read and if Do would
// fail the test.
func Replay(
	capture io.Reader, cfg nfqueue.Config, h nfqueue.Handler, s Spec,
) iter.Seq2[Replayed, error] {
	return func(yield func(Replayed, error) bool) {
		err := replay(capture, cfg, h, s, func(r Replayed) bool { return yield(r, nil) })
		if err != nil {
			yield(Replayed{}, fmt.Errorf("nfqueuetest: replay: %w", err))
		}
	}
}

// replay is Replay. It returns nil if yield ends the loop.
func replay(
	capture io.Reader, cfg nfqueue.Config, h nfqueue.Handler, s Spec, yield func(Replayed) bool,
) error {
	file, err := pcapread.NewReader(capture)
	if err != nil {
		return err
	}
	p, err := newPlayer(cfg, h)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		frame, err := file.Next()
		if err == io.EOF {
			return p.rest(yield)
		}
		if err != nil {
			return err
		}
		spec, meets := s.of(frame)
		r := Replayed{Number: frame.Number, Spec: spec, LinkType: uint16(frame.LinkType)}
		if !meets {
			r.Result = Result{
				Passed:   true,
				Cause:    NotIP,
				Payload:  spec.Payload,
				Mark:     spec.Mark,
				Priority: spec.Priority,
			}
			if !frame.Known() {
				r.Cause = UnknownLink
			}
			if !yield(r) {
				return nil
			}
			continue
		}
		if err := p.play(r); err != nil {
			return fmt.Errorf("packet %d: %w", r.Number, err)
		}
		done, err := p.decided()
		if err != nil {
			return err
		}
		for _, r := range done {
			if !yield(r) {
				return nil
			}
		}
	}
}

// of returns s for a frame. meets says that the frame reaches the hook.
func (s Spec) of(f pcapread.Frame) (spec Spec, meets bool) {
	var p pcapread.Packet
	if s.Family == nfqueue.FamilyBridge {
		p, meets = f.Bridged()
	} else {
		p, meets = f.IP()
		s.Family = 0 // that of the packet
	}
	s.Payload, s.FullLen, s.EtherType, s.Time = p.Payload, p.Len, p.EtherType, f.Time
	s.HardwareAddr, s.LinkHeader, s.VLAN = p.HardwareAddr, p.LinkHeader, nfqueue.VLAN(p.Tag)
	if f.Interface != "" && f.Interface != "any" { // the latter stands for all of them
		s.name(f.Interface)
	}
	if meets {
		s = s.withDefaults()
	}
	return s, meets
}

// name names the interface that a packet was captured on, unless s does: the input interface, or
// the output interface at the hooks that know no other.
func (s *Spec) name(captured string) {
	index, name := s.ingress()
	if out := s.Hook == nfqueue.HookOutput || s.Hook == nfqueue.HookPostrouting; out {
		index, name = s.egress()
	}
	if *index == 0 && *name == "" {
		*name = captured
	}
}

// ingress returns the input interface of a packet, in the bridge family the port.
func (s *Spec) ingress() (index *int, name *string) {
	if s.Family == nfqueue.FamilyBridge {
		return &s.PhysInDev, &s.PhysInDevName
	}
	return &s.InDev, &s.InDevName
}

// egress returns the output interface of a packet, in the bridge family the port.
func (s *Spec) egress() (index *int, name *string) {
	if s.Family == nfqueue.FamilyBridge {
		return &s.PhysOutDev, &s.PhysOutDevName
	}
	return &s.OutDev, &s.OutDevName
}
