// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package nfqueue_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// markSecurity gives the packets that leave a host over IPv4 a security context.
func markSecurity(t *testing.T, h *netlab.Host, context string) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "security"})
	mark := &nftables.NamedObj{Table: table, Name: "mark", Type: nftables.ObjTypeSecMark, Obj: &expr.SecMark{Ctx: context}}
	conn.AddObj(mark)
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "output", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityRef(-225), // NF_IP_PRI_SELINUX_FIRST
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Objref{Type: int(mark.Type), Name: mark.Name}}})
	labtest.Must(t, conn.Flush())
}

// TestSecurityContext needs SELinux, which without a policy knows the contexts that it
// begins with.
func TestSecurityContext(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	markSecurity(t, lab.Host, "unlabeled")
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	got := make(chan string, 1)
	serve(t, lab.Host, nfqueue.Config{Queue: 1, Flags: nfqueue.SecCtx}, func(p *nfqueue.Packet) nfqueue.Verdict {
		got <- string(p.SecurityContext())
		return nfqueue.Accept
	})
	lab.in("marked")
	lab.out(t, "marked")
	if context := waitFor(t, got); context != "unlabeled" {
		t.Errorf("security context %q", context)
	}
}
