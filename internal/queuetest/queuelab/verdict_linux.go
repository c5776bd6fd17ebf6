// SPDX-License-Identifier: GPL-2.0-or-later

package queuelab

import (
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// VerdictLab is a loopback interface with a chain that queues datagrams at output.
type VerdictLab struct {
	*netlab.Host
	Queueing *netlab.Chain
	In       func(data string)               // sends
	Out      func(t *testing.T, d ...string) // checks what arrives next
}

// NewVerdictLab makes a VerdictLab at an address of the loopback interface.
func NewVerdictLab(t *testing.T, rules netlab.Family, lo netip.Addr) VerdictLab {
	h := labtest.Host(t)
	l := ListenUDP(t, h, netip.AddrPortFrom(lo, Port))
	c := DialUDP(t, h, netip.AddrPortFrom(lo, Port))
	return VerdictLab{
		Host:     h,
		Queueing: labtest.Chain(t, h, rules, netlab.Output, 0),
		In:       func(data string) { Send(t, c, data) },
		Out:      func(t *testing.T, d ...string) { t.Helper(); Receive(t, l, d...) },
	}
}

// Counted adds a chain behind the queueing one, with a rule that counts datagrams and then
// evaluates the given expressions.
func Counted(t *testing.T, h *netlab.Host, rules netlab.Family, then ...netlab.Expr) *netlab.Rule {
	t.Helper()
	later := labtest.Chain(t, h, rules, netlab.Output, 10)
	return labtest.Rule(
		t, later,
		append([]netlab.Expr{netlab.L4Proto(UDP), netlab.DstPort(Port), netlab.Counter()}, then...)...)
}

// WantCount fails the test unless a rule has counted a number of packets.
func WantCount(t *testing.T, r *netlab.Rule, what string, want uint64) {
	t.Helper()
	got, _, err := r.Count()
	labtest.Must(t, err)
	if got != want {
		t.Errorf("%s saw %d packets, want %d", what, got, want)
	}
}
