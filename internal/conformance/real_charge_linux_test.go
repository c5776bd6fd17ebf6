// SPDX-License-Identifier: GPL-2.0-or-later

package conformance_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/conformance"
)

// The charge for a packet depends on the kernel's version. The kernel in memory charges as a recent
// one on x86-64, and must not differ much from any.
func TestCharges(t *testing.T) {
	var used [2][]int
	for i, make := range []func(*testing.T, conformance.Rule) conformance.Kernel{newReal, newFake} {
		k := make(t, conformance.Rule{})
		q, err := k.Open(nfqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		for _, n := range []int{0, 100, 200, 500, 1000, 1472, 2000, 4000, 9000, 30000} {
			k.Send(strings.Repeat("x", n))
			now := q.Stats().ReadBufferUsed
			used[i] = append(used[i], now-last)
			last = now
		}
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Log("real kernel:", used[0])
	t.Log("in memory:  ", used[1])
	for i, real := range used[0] {
		if fake := used[1][i]; fake < real/2 || fake > real*2 {
			t.Errorf("a packet takes %d bytes, that of the kernel in memory %d", real, fake)
		}
	}
}
