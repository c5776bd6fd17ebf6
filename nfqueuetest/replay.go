// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest

import (
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/pcapread"
	"github.com/gopacket/gopacket/layers"
)

// Replayed is a packet of a capture and what became of it.
type Replayed struct {
	// Number counts the packets of the file, from 1.
	Number int
	// Spec is the packet as the handler was shown it. Its Time is that of the capture.
	Spec Spec
	// LinkType is that of the frame in the file.
	LinkType layers.LinkType
	// Result is what became of it. The Cause is NotIP or UnknownLink for what never came to
	// a queue.
	Result
	// Took is how long the handler had it.
	Took time.Duration
}

// Replay shows the packets of a capture to a handler, one after the other, and returns
// what became of each. The capture is a file that tcpdump, Wireshark or nfq dump wrote,
// pcap or pcapng, also compressed with gzip. It is read while the loop runs, so there can
// be one loop only. Records of more than 262144 bytes are an error, as for tcpdump.
//
// The handler sees packets as a kernel would show them: from the network header on,
// without padding, and cut where the capture is, with the length that the packet had. The
// link header goes, be it of Ethernet, Linux "cooked" captures, BSD loopback, PPP, Frame
// Relay, IEEE 802.11 and a few more, and what the interfaces below take away: VLAN tags,
// MPLS labels, PPPoE. Anything but IP passes by the queue. With Spec.Family FamilyBridge
// all Ethernet frames come, with link header and VLAN tag.
//
// s tells of all packets what the file does not: the hook, marks, owners. The file
// replaces its Payload, FullLen, EtherType, Time, HardwareAddr, LinkHeader and VLAN, and
// the name of the interface if s has none. The queue, the goroutine of the handler and
// Spec.Match are those of Do.
//
// The next packet is sent when the last one has its verdict or is deferred, so results
// come in the order of the file, but for deferred packets: they come when they are
// decided, and at the end of the file there are 10 seconds left for that. Nothing waits
// between packets; a loop that wants their pace sleeps by Spec.Time.
//
// The loop ends with an error, which names the packet, when the file cannot be read and
// when Do would fail the test.
func Replay(capture io.Reader, h nfqueue.Handler, s Spec) iter.Seq2[Replayed, error] {
	return func(yield func(Replayed, error) bool) {
		err := replay(capture, h, s, func(r Replayed) bool { return yield(r, nil) })
		if err != nil {
			yield(Replayed{}, fmt.Errorf("nfqueuetest: replay: %w", err))
		}
	}
}

// replay is Replay. It returns nil when yield does not want more.
func replay(capture io.Reader, h nfqueue.Handler, s Spec, yield func(Replayed) bool) error {
	file, err := pcapread.NewReader(capture)
	if err != nil {
		return err
	}
	p, err := newPlayer(h)
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
		r := Replayed{Number: frame.Number, Spec: spec, LinkType: frame.LinkType}
		if !meets {
			r.Result = Result{Passed: true, Cause: NotIP, Payload: spec.Payload, Mark: spec.Mark, Priority: spec.Priority}
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
		for _, r := range p.decided() {
			if !yield(r) {
				return nil
			}
		}
	}
}

// of returns s for a frame. meets says that it comes to the hook.
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

// name names the interface that a packet was captured on, unless s does: the one through
// which it came, or the one through which it leaves at hooks where nothing else is known.
func (s *Spec) name(captured string) {
	index, name := s.ingress()
	if out := s.Hook == nfqueue.HookOutput || s.Hook == nfqueue.HookPostrouting; out {
		index, name = s.egress()
	}
	if *index == 0 && *name == "" {
		*name = captured
	}
}

// ingress returns the interface through which a packet comes, in the bridge family the
// port.
func (s *Spec) ingress() (index *int, name *string) {
	if s.Family == nfqueue.FamilyBridge {
		return &s.PhysInDev, &s.PhysInDevName
	}
	return &s.InDev, &s.InDevName
}

// egress is ingress for the way out.
func (s *Spec) egress() (index *int, name *string) {
	if s.Family == nfqueue.FamilyBridge {
		return &s.PhysOutDev, &s.PhysOutDevName
	}
	return &s.OutDev, &s.OutDevName
}
