// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"encoding/binary"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/nfqmsg"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// replyMessage is the kernel's answer to a request: the number of an error and the header
// of the request.
func replyMessage(errno int32, typ uint16, seq uint32) []byte {
	b := nlwire.AppendHeader(nil, nlwire.TypeError, 0, seq)
	b = binary.NativeEndian.AppendUint32(b, uint32(-errno))
	b = nlwire.AppendHeader(b, typ, nlwire.FlagRequest|nlwire.FlagAck, seq)
	nlwire.Finish(b, 0)
	return b
}

// FuzzReply: whatever datagram comes, it is one of a packet, an answer and a malformed message,
// and is counted as that. Only an answer to a request ends it.
func FuzzReply(f *testing.F) {
	f.Add(replyMessage(0, nfqmsg.Config, 1))
	f.Add(replyMessage(1, nfqmsg.Config, 1))
	f.Add(replyMessage(2, nfqmsg.Verdict, 7))
	f.Add(replyMessage(22, nfqmsg.VerdictBatch, 7))
	f.Add(replyMessage(0, nfqmsg.Config, 1)[:20])
	f.Add(packetMessage(FamilyIPv4, 1,
		attr{nfqmsg.AttrPacketHdr, packetHdr(7, etherTypeIPv4, HookInput)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := Config{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Batch, cfg.CopyRange = 1, 1
		q := newQueue(devNull{}, cfg)
		defer q.Close()
		q.replies.Init(0) // as in the seeds
		seq, waits := q.replies.Expect()
		slot := make([]byte, len(b)+64)
		n := copy(slot, b)
		decide := q.rx.dispatch(new(Packet), slot, transport.Datagram{Len: n}, 0)
		refused := q.stats.refused.Load() + q.stats.tooLate.Load() // one answer may be for many
		bad := min(refused, 1) + q.stats.malformed.Load() + q.stats.fallbackMalformed.Load() +
			q.stats.fallbackTruncated.Load()
		answered := len(waits) == 1
		h, ok := nlwire.ParseHeader(b)
		isReply := ok && h.Type == nlwire.TypeError && int64(h.Len) <= int64(n)
		if decide && (!ok || h.Type != nfqmsg.Packet) || answered && !isReply || refused > 0 && !isReply {
			t.Fatalf("type %#x: to decide %v, answers a request %v, verdicts refused %d",
				h.Type, decide, answered, refused)
		}
		if answered {
			errno := <-waits
			if binary.NativeEndian.Uint32(b[16:]) != uint32(-errno) ||
				binary.NativeEndian.Uint32(b[28:]) != seq {
				t.Fatalf("error %d of %x for request %d", errno, b, seq)
			}
		}
		if bad > 1 || (decide || answered) && bad != 0 {
			t.Fatalf("to decide %v, answers a request %v, and %d times counted as bad",
				decide, answered, bad)
		}
	})
}
