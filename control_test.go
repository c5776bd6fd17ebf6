// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"math"
	"testing"
)

// TestReplyToAnother: the answer to a request that another process has made on the same
// socket is nobody's here.
func TestReplyToAnother(t *testing.T) {
	q, _ := loaded(t, plainUDP)
	other, _ := loaded(t, plainUDP)
	for range 10 {
		seq, _ := other.replies.expect()
		_, reply := q.replies.expect()
		if q.replies.deliver(seq, 0); len(reply) != 0 {
			t.Fatalf("request %d was answered by the reply to another's", seq)
		}
	}
}

// TestRequestsAskForReplies, also when their numbers wrap around.
func TestRequestsAskForReplies(t *testing.T) {
	r := replies{seq: math.MaxUint32 - 1}
	for range 3 {
		if seq, _ := r.expect(); seq == 0 {
			t.Error("a request has the number 0")
		}
	}
}
