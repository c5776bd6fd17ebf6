// SPDX-License-Identifier: GPL-2.0-or-later

// Package nfqueuetest tests handlers and programs that use package nfqueue without
// root, without network and on every operating system, as net/http/httptest does
// for HTTP.
//
// Do shows one packet to a handler and returns what became of it:
//
//	query := nfqueuetest.DNSQuery(client, resolver, 1, "ads.example", layers.DNSTypeA)
//	got := nfqueuetest.Do(t, handler, nfqueuetest.Spec{Payload: query})
//	if got.Verdict != nfqueue.Drop {
//		t.Errorf("verdict %v", got.Verdict)
//	}
//
// Kernel is a whole nfnetlink_queue in memory, for tests of what happens between
// packets: queues that overflow, packets handed to other queues, deferred ones,
// shutdown, and errors at the wrong moment:
//
//	k := nfqueuetest.NewKernel(t)
//	k.Serve(nfqueue.Config{Queue: 5}, handler)
//	flight := k.Send(5, nfqueuetest.Spec{Hook: nfqueue.HookForward})
//	got := flight.Result()
//
// Replay shows the packets of a capture file to a handler:
//
//	for r, err := range nfqueuetest.Replay(file, handler, nfqueuetest.Spec{Hook: nfqueue.HookForward}) {
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Log(r.Number, r.Verdict, r.Took)
//	}
//
// The Spec of each may be sent to a queue of a Kernel too, which is served in another
// way.
//
// Queues are real ones: everything but the socket is the code that runs in
// production. The kernel behind them passes the same tests as Linux. It works in
// a bubble of testing/synctest, where time limits pass at once.
//
// What lies beyond the queue is not there: no routing, no connection tracking, no
// segmentation, no rule but the one that queues.
package nfqueuetest
