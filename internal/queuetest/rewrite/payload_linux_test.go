// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestReplacedPayload: a packet with a replaced payload arrives, or the kernel drops it without an
// error. labtest.Replaces finds out which by other means. The kernel may only do that in user
// namespaces.
func TestReplacedPayload(t *testing.T) {
	replaces := labtest.Replaces(t)
	if !replaces && queuelab.FirstUserNamespace(t) {
		t.Error("the kernel drops packets with a replaced payload outside of user namespaces")
	}
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			if queuelab.Text(p) == "replace" {
				if err := p.SetPayload(append(p.Payload(), "d"...)); err != nil {
					t.Error(err)
				}
			}
			return nfqueue.Accept
		})
	lab.In("replace")
	lab.In("leave")
	if replaces {
		lab.Out(t, "replaced")
	}
	lab.Out(t, "leave")
	queuelab.Stop(t, q)
	if s := q.Stats(); s.Accepted != 2 || s.TooLate != 0 || s.Refused != 0 || s.Unsent != 0 {
		t.Errorf("%+v", s)
	}
}
