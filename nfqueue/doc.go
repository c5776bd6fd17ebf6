// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueue has the API of the cgo package of the same import path, which bound
// libnetfilter_queue, in pure Go. Programs written for that one build unchanged.
//
//	q := new(nfqueue.Queue)
//	q.SetCallback(func(p *nfqueue.Payload) int {
//		p.SetVerdict(nfqueue.NF_ACCEPT)
//		return 0
//	})
//	q.Init()
//	defer q.Close()
//	q.Unbind(syscall.AF_INET)
//	q.Bind(syscall.AF_INET)
//	q.CreateQueue(0)
//	q.Loop()
//
// # Unchanged
//
// SetVerdict sends the verdict at once, during the callback or later, and from any goroutine. The
// result of the callback is not a verdict. Packets are no larger than the MTU and have their
// checksums, since the queue is opened without GSO. SetVerdictModified sends the bytes as they are.
// Loop outlives Close and DestroyQueue by up to half a second.
//
// # Better
//
// The package logs nothing. All methods may be called in any order, from any goroutine and more
// than once; only SetMode and SetQueueMaxLen fail in the callback. They return errors that the cgo
// package lost. Errors wrap ErrNotInitialized, ErrOpenFailed or ErrRuntime, and the cause, so
// compare with errors.Is. A Payload, and a copy of it, stays valid as long as the program keeps it.
// SetVerdictMark needs no build tag. TryRun, the name of Loop until February 2017, is there too.
//
// If the callback panics, its packet is dropped. If the program lets go of a Payload, and of all
// its copies, without a verdict, the packet is dropped when the garbage collector finds that out.
// In the cgo package such packets wait in the kernel until the queue ends.
//
// # Different
//
// A Queue has one queue of the kernel at a time. In the cgo package a second CreateQueue bound
// another number to the same socket. The callback got the packets of both, but all verdicts went to
// the second, so packets of the first waited for ever. Here the second CreateQueue returns an
// error: use a Queue for each number.
//
// A Queue has one Loop at a time. In the cgo package a second Loop stole packets from the first,
// and called the callback concurrently. Here it returns an error that wraps nfqueue.ErrServing.
//
// DestroyQueue ends a Loop. In the cgo package Loop went on without a queue until Close.
//
// GoCallbackWrapper, which only C called, is gone.
//
// # Names
//
// Both packages are named nfqueue. In this documentation nfqueue.Open, nfqueue.ErrClosed and the
// like are those of package github.com/chifflier/nfqueue-go.
//
// # Systems
//
// The package compiles on every system. On systems other than Linux, Init fails with
// errors.ErrUnsupported.
//
// Deprecated: New programs should use package github.com/chifflier/nfqueue-go. It decides many
// packets with one system call, where this package must send each verdict alone, and a handler
// there cannot forget a verdict. This package stays, for programs that use its API.
package nfqueue
