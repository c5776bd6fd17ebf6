// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import "github.com/chifflier/nfqueue-go"

// The checksum of a packet that has not left the machine is partial, unless the queue asks for
// segments. A packet that is written back like that is lost.
func testPartialChecksum(l lab) {
	l.NeedReplace()
	raw := func(p *nfqueue.Packet) nfqueue.Verdict {
		if err := p.SetPayloadRaw(p.Payload()); err != nil {
			l.Error(err)
		}
		return nfqueue.Accept
	}
	partial := false
	q := l.open(nfqueue.Config{})
	l.send("with GSO")
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		partial = p.SKBInfo()&nfqueue.ChecksumNotReady != 0
		return raw(p)
	})
	q = l.open(nfqueue.Config{Flags: nfqueue.NoGSO})
	l.send("without GSO")
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.SKBInfo()&nfqueue.ChecksumNotReady != 0 {
			l.Error("a partial checksum without GSO")
		}
		return raw(p)
	})
	if !partial {
		l.Error("no partial checksum with GSO")
	}
	l.wantToCome("without GSO")
	if n := l.Passed(); n != 2 {
		l.Errorf("%d have passed", n)
	}
}

// testShortPayload: the kernel would drop the packet without an error.
func testShortPayload(l lab) {
	q := l.open(nfqueue.Config{})
	l.send("whole")
	got := l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		for _, set := range []func([]byte) error{p.SetPayload, p.SetPayloadRaw} {
			if err := set(p.Payload()[:19]); err == nil {
				l.Error("a payload shorter than the headers was taken")
			}
		}
		return nfqueue.Accept
	})
	l.wantReceived("whole")
	if got.Refused+got.TooLate != 0 {
		l.Errorf("%+v", got)
	}
}

func testCopyRange(l lab) {
	q := l.open(nfqueue.Config{CopyRange: 30})
	l.send("truncated", "")
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		want := 28
		if p.ID() == 1 {
			want = 28 + len("truncated")
		}
		if p.Truncated() != (p.ID() == 1) || len(p.Payload()) != min(want, 30) || p.FullLen() != want {
			l.Errorf("%d of %d bytes, truncated: %v", len(p.Payload()), p.FullLen(), p.Truncated())
		}
		return nfqueue.Accept
	})
	q = l.open(nfqueue.Config{CopyMode: nfqueue.CopyMeta})
	l.send("meta")
	l.drain(q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.Truncated() || p.Payload() != nil || p.FullLen() != 0 {
			l.Errorf("%d of %d bytes, truncated: %v", len(p.Payload()), p.FullLen(), p.Truncated())
		}
		return nfqueue.Accept
	})
	l.wantReceived("truncated", "", "meta")
}
