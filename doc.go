// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueue decides in Go what becomes of the packets that the Linux kernel
// queues to userspace (iptables -j NFQUEUE, nftables queue).
//
//	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0}, nfqueue.HandlerFunc(
//		func(p *nfqueue.Packet) nfqueue.Verdict {
//			fmt.Println(p.Hook(), p.InDevName(), len(p.Payload()))
//			return nfqueue.Accept
//		}))
//
// # The life of a packet
//
// A rule sends a packet to a numbered queue. The kernel keeps it there and copies it
// to the socket that has bound the queue. Serve receives up to Config.Batch of these
// copies with one system call and calls the Handler for one after the other, with
// one Packet that it uses again and again: nothing is allocated. The verdicts of
// the batch go back with one system call. Only then does the kernel let a packet go
// on, or drop it.
//
// # Verdicts
//
// Every packet gets exactly one verdict while the process lives. A handler returns
// it, or calls Packet.Defer and leaves it to whoever resolves the Held. If a handler
// panics or returns nonsense, a message cannot be decoded, or a deferred packet is
// forgotten, then the packet gets Config.Fallback, and Stats counts why. Serve returns
// after a panic, or goes on with Config.OnPanic.
//
// A verdict leaves when its batch ends, or when it is older than Config.FlushAfter
// and the next handler call has returned. When a handler that was fast so far suddenly
// blocks it leaves at most Config.FlushAfter and a millisecond later, in a busy queue
// 16 milliseconds.
//
// # Concurrency
//
// A Handler is called by one goroutine, the one that called Serve. ServeFlows calls
// several, each on its own goroutine and with all packets of its flows. A Packet and the
// slices it gives out belong to the handler until it returns. Queue and Held may be
// used by any goroutine.
//
// # Ending
//
// Serve drains the queue when its context ends, as Shutdown does: new packets are
// kept out, those that wait are decided. Close ends at once, and the kernel drops
// what waits; so it does when the process dies. A rule with bypass then lets packets
// pass.
//
// # Privileges
//
// The kernel asks for CAP_NET_ADMIN in the user namespace that owns the network
// namespace, when the queue is bound and again for every verdict, and it asks the
// thread that sends. A process must therefore keep the capability; it can drop all
// others.
//
// # Systems
//
// The package compiles on every system, so that programs which use it do. Open fails
// with errors.ErrUnsupported elsewhere than on Linux. Package nfqueuetest tests
// handlers on any system.
package nfqueue
