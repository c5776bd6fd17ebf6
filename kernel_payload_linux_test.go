// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"os"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// TestReplacedPayload: a replaced payload arrives, or the kernel drops the packet without
// a word. That it does so is found out with other means, and only user namespaces are a
// reason.
func TestReplacedPayload(t *testing.T) {
	replaces := labtest.Replaces(t)
	if !replaces && firstUserNamespace(t) {
		t.Error("the kernel drops packets with a replaced payload outside of user namespaces")
	}
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	q := serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		if text(p) == "replace" {
			if err := p.SetPayload(append(p.Payload(), "d"...)); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept
	})
	lab.in("replace")
	lab.in("leave")
	if replaces {
		lab.out(t, "replaced")
	}
	lab.out(t, "leave")
	stop(t, q)
	if s := q.Stats(); s.Accepted != 2 || s.Gone != 0 || s.Refused != 0 || s.Unsent != 0 {
		t.Errorf("%+v", s)
	}
}

// firstUserNamespace reports whether the process is in the one that the machine has begun
// with, where all ids are mapped to themselves.
func firstUserNamespace(t *testing.T) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	labtest.Must(t, err)
	return strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
}
