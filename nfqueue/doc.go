// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueue has the API of the cgo package of the same import path, which bound
// libnetfilter_queue, in pure Go: programs written for that one build unchanged. New
// programs use package github.com/chifflier/nfqueue-go, on which this one is a layer;
// it decides many packets with one system call, where this one must decide each alone.
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
// # What is as it was
//
// A verdict leaves when SetVerdict is called, during the callback or later and from any
// goroutine. What the callback returns is not used as a verdict. Packets arrive no
// larger than the MTU and with their checksums in place, since the queue is opened
// without GSO. SetVerdictModified sends the bytes as they are.
//
// # What is better
//
// Nothing is logged. Everything may be called in any order, from any goroutine and more
// than once; only SetMode and SetQueueMaxLen must not be called from the callback. Errors
// are reported which were lost; they wrap ErrNotInitialized, ErrOpenFailed or ErrRuntime,
// and the cause, so compare with errors.Is. A Payload stays valid for as long as the
// program keeps it. SetVerdictMark needs no build tag.
//
// A packet whose callback panics is dropped, and so is one whose Payload the program
// has let go of without a verdict, when the garbage collector finds that out. They
// would wait in the kernel for ever.
//
// # What is gone
//
// GoCallbackWrapper, which only C was to call. TryRun was renamed to Loop in February 2017.
//
// # Names
//
// Both packages are named nfqueue. In this documentation nfqueue.Open, nfqueue.ErrClosed
// and the like are those of package github.com/chifflier/nfqueue-go.
//
// # Systems
//
// The package compiles on every system. Init fails with errors.ErrUnsupported elsewhere
// than on Linux.
package nfqueue
