// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueuetest tests handlers and programs that use package nfqueue, without root, without a
// network and on every operating system, as net/http/httptest does for HTTP.
//
// Do shows one packet to a handler and returns its fate:
//
//	query := nfqueuetest.DNSQuery(client, resolver, 1, "ads.example", nfqueuetest.DNSTypeA)
//	got := nfqueuetest.Do(t, config, handler, nfqueuetest.Spec{Payload: query})
//	if got.Verdict != nfqueue.Drop {
//		t.Errorf("verdict %v", got.Verdict)
//	}
//
// Kernel is a whole nfnetlink_queue in memory, for tests of what happens between packets: queues
// that overflow, packets sent on to other queues, deferred packets, shutdown, and errors at the
// wrong moment:
//
//	k := nfqueuetest.NewKernel(t)
//	k.Serve(nfqueue.Config{Queue: 5}, handler)
//	flight := k.Send(5, nfqueuetest.Spec{Hook: nfqueue.HookForward})
//	got := flight.Result()
//
// Replay shows the packets of a capture file to a handler:
//
//	spec := nfqueuetest.Spec{Hook: nfqueue.HookForward}
//	for r, err := range nfqueuetest.Replay(file, config, handler, spec) {
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Log(r.Number, r.Verdict, r.Took)
//	}
//
// A test may also send the Spec of each result to a queue of a Kernel, which it serves in another
// way.
//
// Queues are real: everything but the socket is the code that runs in production. The kernel behind
// them passes the same tests as Linux. It works in a bubble of testing/synctest, where time limits
// pass at once.
//
// All three find two mistakes of handlers that production hides: a packet's memory that is used
// after the verdict, which they overwrite, and a payload that is changed without SetPayload, for
// which the test fails.
//
// Nothing beyond the queue is simulated: no routing, no connection tracking, no segmentation, and
// no rule but the one that queues.
//
// IP, UDP, TCP, Echo and DNSQuery make packets. Spec.Payload takes those of any other library too;
// the package itself needs none.
package nfqueuetest
