// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package queue_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// markSecurity gives the packets that leave a host over IPv4 a security context.
func markSecurity(t *testing.T, h *netlab.Host, context string) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(h.FD()))
	labtest.Must(t, err)
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "security"})
	mark := &nftables.NamedObj{Table: table, Name: "mark", Type: nftables.ObjTypeSecMark,
		Obj: &expr.SecMark{Ctx: context}}
	conn.AddObj(mark)
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "output", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityRef(-225), // NF_IP_PRI_SELINUX_FIRST
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain,
		Exprs: []expr.Any{&expr.Objref{Type: int(mark.Type), Name: mark.Name}}})
	labtest.Must(t, conn.Flush())
}

// saveSecMark gives the security context of a packet to its connection.
func saveSecMark(*netlab.Host) ([]expr.Any, error) {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeySECMARK, Register: unix.NFT_REG_1},
		&expr.Ct{Key: expr.CtKeySECMARK, SourceRegister: true, Register: unix.NFT_REG_1},
	}, nil
}

// TestSecurityContext needs SELinux, which without a policy knows the contexts that it
// begins with.
func TestSecurityContext(t *testing.T) {
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	markSecurity(t, lab.Host, "unlabeled")
	labtest.Rule(t, labtest.Chain(t, lab.Host, netlab.IP, netlab.Output, -100), saveSecMark)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	got := make(chan [2]string, 1)
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, Flags: nfqueue.SecCtx | nfqueue.Conntrack},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			e, _ := p.Conntrack()
			got <- [2]string{string(p.SecurityContext()), string(e.SecurityContext())}
			return nfqueue.Accept
		})
	lab.In("marked")
	lab.Out(t, "marked")
	if contexts := queuelab.WaitFor(t, got); contexts != [2]string{"unlabeled", "unlabeled"} {
		t.Errorf("security contexts of the packet and the connection: %q", contexts)
	}
}
