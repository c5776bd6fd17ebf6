// SPDX-License-Identifier: GPL-2.0-or-later

package nfqmsg

import (
	"math"
	"testing"
)

// TestReplies: a reply comes to its request and no other, also when their numbers wrap around,
// and every request asks for one.
func TestReplies(t *testing.T) {
	var r Replies
	r.Init(math.MaxUint32 - 1)
	for range 3 {
		seq, reply := r.Expect()
		if seq == 0 {
			t.Error("a request has the number 0, which asks for no reply")
		}
		r.Deliver(seq+1, 5) // another's, or late
		if len(reply) != 0 {
			t.Errorf("request %d got the reply to another", seq)
		}
		if r.Deliver(seq, 7); len(reply) != 1 || <-reply != 7 {
			t.Errorf("request %d got no reply", seq)
		}
		r.Deliver(seq, 9) // sent twice
	}
	seq, reply := r.Expect()
	r.Cancel(seq)
	if r.Deliver(seq, 7); len(reply) != 0 {
		t.Error("a cancelled request got a reply")
	}
}
