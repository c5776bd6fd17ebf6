// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/conntrack"
	"github.com/chifflier/nfqueue-go/internal/cttest"
	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// FuzzConntrack: whatever the entry of a packet is, reading it does not panic and
// stays in its bounds, and what is said of it in the verdict is well-formed.
func FuzzConntrack(f *testing.F) {
	for _, c := range cttest.Cases {
		f.Add(bytes.Join(c.Attrs, nil))
	}
	dst := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, nest []byte) {
		if len(nest) > MaxPayload {
			return
		}
		p, err := decoded(packetMessage(FamilyIPv4, 1,
			attr{nfqmsg.AttrPacketHdr, packetHdr(1, etherTypeIPv4, HookInput)},
			attr{nfqmsg.AttrCT | nlwire.Nested, nest},
			attr{nfqmsg.AttrMark, be32(0xa5a5a5a5)},
		))
		if err != nil {
			t.Fatal(err)
		}
		e, ok := p.Conntrack()
		if !ok {
			e = conntrack.Entry{}
		}
		v := cttest.Tell(e)
		for _, tuple := range []struct {
			conntrack.Tuple
			ok bool
		}{{v.Original, v.OriginalOK}, {v.Reply, v.ReplyOK}, {v.Master, v.MasterOK}} {
			if tuple.ok != tuple.Src.IsValid() || tuple.ok != tuple.Dst.IsValid() ||
				tuple.Src.Is4() != tuple.Dst.Is4() {
				t.Fatalf("tuple %v, %v", tuple.Tuple, tuple.ok)
			}
			_ = tuple.String()
		}
		if len(v.Labels)+len(v.Helper)+len(v.HelperInfo)+len(v.SecurityContext) > len(nest) {
			t.Fatal("more is told than there is")
		}
		_, _, _ = v.Status.String(), v.TCP.State.String(), v.SCTP.State.String()

		marked := p.SetConnMark(1, 1)
		changes := ok && v.Status&conntrack.StatusTemplate == 0
		if (marked == nil) != changes {
			t.Fatalf("an entry is there: %v, of status %v; SetConnMark: %v", ok, v.Status, marked)
		}
		_ = p.SetConnLabels(make([]byte, 16), nil)
		_ = p.SetConnStatus(conntrack.StatusAssured, 0)
		_ = p.SetConnTimeout(time.Second)
		_ = p.SetConnHelperInfo([]byte(v.HelperInfo))
		_ = p.AdjustSequence()
		_ = p.SetExpect(conntrack.Expectation{Protocol: 6, Dst: dst})
		all, ct := verdictAttrs(t, p)
		if (ct != nil) != changes || all[nfqmsg.AttrExp] != nil && (ct == nil || v.Helper == "" &&
			e.Helper() == nil) {
			t.Fatalf("verdict with %x", all)
		}
		if exp, ok := all[nfqmsg.AttrExp]; ok {
			splitAttrs(t, exp)
		}
	})
}
