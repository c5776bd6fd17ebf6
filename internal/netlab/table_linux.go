// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Family is the address family of a table (NFPROTO_*).
type Family uint8

// The families whose packets can be queued.
const (
	Inet   Family = unix.NFPROTO_INET
	IP     Family = unix.NFPROTO_IPV4
	IP6    Family = unix.NFPROTO_IPV6
	Bridge Family = unix.NFPROTO_BRIDGE
)

// Hook is a place in the path of packets (NF_INET_*, and the same numbers for NF_BR_*).
type Hook uint32

// The hooks at which packets can be queued.
const (
	Prerouting  Hook = unix.NF_INET_PRE_ROUTING
	Input       Hook = unix.NF_INET_LOCAL_IN
	Forward     Hook = unix.NF_INET_FORWARD
	Output      Hook = unix.NF_INET_LOCAL_OUT
	Postrouting Hook = unix.NF_INET_POST_ROUTING
)

// Policy decides the packets that no rule of a base chain decides.
type Policy uint32

// The policies.
const (
	PolicyDrop   = Policy(nftables.ChainPolicyDrop)
	PolicyAccept = Policy(nftables.ChainPolicyAccept)
)

// Table is an nf_tables table in a host. Tables, chains and rules may be used by several goroutines
// at once.
type Table struct {
	host *Host
	nft  *nftables.Table
}

// Chain is a base chain.
type Chain struct {
	table *Table
	nft   *nftables.Chain
}

// AddTable makes a table.
func (h *Host) AddTable(family Family, name string) (*Table, error) {
	t := &Table{host: h, nft: &nftables.Table{Family: nftables.TableFamily(family), Name: name}}
	if err := h.commit(func(c *nftables.Conn) { c.CreateTable(t.nft) }); err != nil {
		return nil, fmt.Errorf("netlab: table %s: %w", name, err)
	}
	return t, nil
}

// AddChain makes a base chain. Chains of one hook are visited from the lowest priority to the
// highest; filters are usually at 0, connection tracking is at -200.
func (t *Table) AddChain(name string, hook Hook, priority int32, policy Policy) (*Chain, error) {
	c := &Chain{table: t, nft: &nftables.Chain{
		Table:    t.nft,
		Name:     name,
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookRef(nftables.ChainHook(hook)),
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority)),
		Policy:   (*nftables.ChainPolicy)(&policy),
	}}
	if err := t.host.commit(func(conn *nftables.Conn) { conn.AddChain(c.nft) }); err != nil {
		return nil, fmt.Errorf("netlab: chain %s: %w", name, err)
	}
	return c, nil
}

// Delete removes the table with its chains and rules. As with Chain.Delete, all queued packets of
// the host are dropped.
func (t *Table) Delete() error {
	if err := t.host.commit(func(c *nftables.Conn) { c.DelTable(t.nft) }); err != nil {
		return fmt.Errorf("netlab: delete table %s: %w", t.nft.Name, err)
	}
	return nil
}

// Delete removes the chain with its rules. When a hook is unregistered the kernel drops the packets
// that wait in any queue of the host: if they matter, delete the rules and drain the queues first.
func (c *Chain) Delete() error {
	err := c.table.host.commit(func(conn *nftables.Conn) {
		conn.FlushChain(c.nft)
		conn.DelChain(c.nft)
	})
	if err != nil {
		return fmt.Errorf("netlab: delete chain %s: %w", c.nft.Name, err)
	}
	return nil
}

// commit sends what fill adds as one transaction.
func (h *Host) commit(fill func(*nftables.Conn)) error {
	conn, err := h.nftables()
	if err != nil {
		return err
	}
	fill(conn)
	return conn.Flush()
}

// nftables returns a connection into the host's namespace. It dials for each transaction, so there
// is nothing to close.
func (h *Host) nftables() (*nftables.Conn, error) {
	return nftables.New(nftables.WithNetNSFd(h.FD()))
}
