// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "testing"

// TestReplyToAnother: the answer to a request that another process has made on the same
// socket is nobody's here.
func TestReplyToAnother(t *testing.T) {
	q, _ := loaded(t, plainUDP)
	other, _ := loaded(t, plainUDP)
	for range 10 {
		seq, _ := other.replies.Expect()
		_, reply := q.replies.Expect()
		if q.replies.Deliver(seq, 0); len(reply) != 0 {
			t.Fatalf("request %d was answered by the reply to another's", seq)
		}
	}
}
