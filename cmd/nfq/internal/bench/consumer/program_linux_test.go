// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestQueueInUse(t *testing.T) {
	host := labtest.Host(t)
	for _, c := range []Consumer{self(t), InProcess{}} {
		first, err := c.Start(t.Context(), host, Setup{Queue: 3})
		labtest.Must(t, err)
		if second, err := c.Start(t.Context(), host, Setup{Queue: 3}); err == nil ||
			!strings.Contains(err.Error(), nfqueue.ErrQueueInUse.Error()) {
			t.Errorf("%s: second start: %v, %v", c.Name(), second, err)
		}
		labtest.Must(t, first.Close())
	}
}

// A consumer goes with the one who started it, at whatever point that is.
func TestProgramEndsWithItsInput(t *testing.T) {
	host := labtest.Host(t)
	for _, started := range []bool{false, true} {
		r, err := self(t).start(t.Context(), host, Setup{})
		labtest.Must(t, err)
		if started {
			labtest.Must(t, r.Go())
		}
		labtest.Must(t, r.stdin.Close())
		if err := r.wait(); err != nil {
			t.Errorf("started %v: %v: %s", started, err, r.stderr.String())
		}
	}
}

func TestUnusableProgram(t *testing.T) {
	host := labtest.Host(t)
	for _, command := range [][]string{{"/does/not/exist"},
		{"/proc/self/exe", consumerArg, "--what"}} {
		p := &Program{Title: "broken", Command: command, Ours: true}
		if r, err := p.Start(t.Context(), host, Setup{}); err == nil ||
			!strings.Contains(err.Error(), "broken") {
			t.Errorf("%v: %v, %v", command, r, err)
		}
	}
}
