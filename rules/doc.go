// SPDX-License-Identifier: GPL-2.0-or-later

// Package rules sends packets to NFQUEUE: it installs rules in the kernel through
// nf_tables, without running a program, and says them in a line of text, as nft
// commands and as iptables commands. Run does everything in one call:
//
//	r, err := rules.Parse("out tcp dport 443")
//	...
//	err = rules.Run(ctx, nfqueue.Config{Fallback: nfqueue.Accept}, handler, r)
//
// # Lifetime
//
// The rules are in a table of their own, which belongs to a socket of this process:
// nobody else can change it, and the kernel removes it when the process ends, even
// by SIGKILL. That needs Linux 5.12; see Set.Owned for what happens before.
//
// # Order
//
// Without Run, open the queue before Install, so that a program whose queue is in use has
// installed nothing. To end, first keep new packets from being queued (Set.Stop), then
// decide those that wait (nfqueue.Queue.Shutdown), then remove the rest (Set.Close):
//
//	q, err := nfqueue.Open(nfqueue.Config{})
//	...
//	set, err := rules.Install(rules.Config{}, r)
//	if err != nil {
//		q.Close()
//		return err
//	}
//	defer set.Close() // deferred calls run last to first
//	defer q.Shutdown(ctx)
//	defer set.Stop()
//
// Without the Stop nothing that waits is lost either, but what comes during the Shutdown gets
// the queue's Fallback.
//
// # Other programs
//
// When a hook is unregistered, the kernel drops every packet that waits in any queue of the
// network namespace, also in those of other programs. Set.Close waits for a moment at which none
// does. A process that ends without it, by SIGKILL, os.Exit or a panic, costs other programs what
// waits in their queues then. In a namespace where nothing else uses connection tracking, rules
// with CTState, CTMark, FirstPackets, FirstBytes or Offload cost it twice, some milliseconds apart.
// When a hook is registered in front of the one that has queued a packet, the kernel queues the
// packet once more, so Install waits too, but for a second only. An Install that fails costs nobody
// a packet, with one exception before Linux 5.9; see Offload.NoReject.
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
