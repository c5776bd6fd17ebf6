// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueue lets a Go program decide packets that the Linux kernel queues to userspace
// (iptables -j NFQUEUE, nftables queue).
//
//	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(
//		func(p *nfqueue.Packet) nfqueue.Verdict {
//			flow, _ := p.Flow()
//			fmt.Println(p.Hook(), p.InDevName(), flow, len(p.Payload()))
//			return nfqueue.Accept
//		}))
//
// # The life of a packet
//
// A rule sends a packet to a numbered queue. The kernel keeps the packet there, gives it an id,
// and copies it to the socket that has bound the queue. Serve receives up to Config.Batch copies
// with one system call and calls the Handler for each of them. The handler returns a Verdict.
// Serve sends the verdicts of the batch with one system call, and the kernel then lets each
// packet continue or drops it. Memory is reused; nothing is allocated per packet.
//
// # Verdicts
//
// Every packet that Serve receives gets one verdict, unless Close abandons it or sending fails;
// Stats counts those. The handler returns the verdict, or calls Packet.Defer, and any goroutine
// resolves the Held later. A packet gets Config.Fallback if its handler panics or returns an
// invalid verdict, if its message cannot be decoded, or if it is deferred and not resolved in
// time; Stats counts each cause. Serve returns after a panic, unless Config.OnPanic is set.
//
// Serve sends a verdict when its batch ends, or after a handler call if the verdict is older than
// Config.FlushAfter. If a handler blocks, a timer sends the verdicts of earlier packets.
//
// # Ownership
//
// A Packet, and every slice that its methods return, belongs to the handler until the handler
// returns. Serve then uses their memory for other packets. Packet.Clone and Packet.Defer make
// copies that stay valid. Slices that a program passes to a setter are copied, except a payload
// edited in place, see Packet.SetPayload.
//
// # Concurrency
//
// Serve calls the handler on the goroutine that called Serve. ServeFlows calls several handlers,
// each on its own goroutine, and all packets of a flow go to the same one. All goroutines may use
// a Queue, a Group and a Held at the same time. Only the handler may use its Packet; Held.Packet
// may be used until Resolve, by one goroutine at a time.
//
// # Shutdown
//
// When its context ends, Serve drains the queue, as Shutdown does: no new packets are queued, and
// those in the queue are decided. Close ends at once, and the kernel drops the packets in the
// queue, as it also does when the process dies. Afterwards no process has bound the queue: the
// kernel drops new packets, or accepts them if the rule has bypass.
//
// # Privileges
//
// The kernel requires CAP_NET_ADMIN in the user namespace that owns the network namespace. It
// checks the thread that binds the queue, and for every verdict the thread that sends it. A
// process must keep this capability while it serves, and can drop all others.
//
// # Other packages
//
// Package conntrack has the types of connection tracking entries, rules installs rules that
// queue, connection decides connections instead of packets, inspect reads names from their first
// bytes, and nfqueuetest tests handlers without root. Module nfqueueprom exports statistics to
// Prometheus.
//
// # Systems
//
// The package compiles on every system, so programs that import it do too. On systems other than
// Linux, Open fails with errors.ErrUnsupported, and nfqueuetest works.
package nfqueue
