// SPDX-License-Identifier: GPL-2.0-or-later

// Package rules sends packets to NFQUEUE: it installs rules in the kernel through
// nf_tables, without running a program, and says them in a line of text, as nft
// commands and as iptables commands.
//
//	r, err := rules.Parse("out tcp dport 443")
//	...
//	set, err := rules.Install(rules.Config{}, r)
//	...
//	defer set.Close()
//	err = nfqueue.Run(ctx, nfqueue.Config{}, handler)
//
// # Lifetime
//
// The rules are in a table of their own, which belongs to a socket of this process:
// nobody else can change it, and the kernel removes it when the process ends, even
// by SIGKILL. That needs Linux 5.12; see Set.Owned for what happens before.
//
// # Order of ending
//
// The kernel drops every packet that waits in any queue of the network namespace
// when a hook goes, as Set.Close makes it do. To lose none, first keep new ones from
// being queued (Set.Stop), then decide those that wait (nfqueue.Queue.Shutdown), then
// remove the rest (Set.Close). Deferred calls run last to first, so that is
//
//	set, err := rules.Install(rules.Config{}, r)
//	...
//	defer set.Close()
//	q, err := nfqueue.Open(nfqueue.Config{})
//	...
//	defer q.Shutdown(ctx)
//	defer set.Stop()
//
// A rule lets packets pass while nobody has bound its queue (unless Rule.NoBypass is
// set), so it does no harm to install it before the queue is opened. Without the
// Stop nothing that waits is lost either, but what comes during the Shutdown gets the
// queue's Fallback.
//
// # Privileges
//
// Install needs CAP_NET_ADMIN in the user namespace that owns the network namespace,
// and so do Stop and Close, of the thread that calls them. Root of a user namespace
// with a network namespace of its own has it.
//
// # Systems
//
// Rules can be parsed and printed on every system. Install fails with
// errors.ErrUnsupported elsewhere than on Linux.
package rules
