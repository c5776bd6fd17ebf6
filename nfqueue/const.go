// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

// Verdicts, by their numbers in linux/netfilter.h. They are variables of type int for the sake of
// old programs; do not change them.
var (
	// NF_DROP discards the packet (nfqueue.Drop).
	NF_DROP = 0
	// NF_ACCEPT lets the packet go on (nfqueue.Accept).
	NF_ACCEPT = 1
	// NF_QUEUE queues the packet again, to the queue whose number is in the upper 16 bits, as in
	// NF_QUEUE|5<<16 (nfqueue.ToQueue).
	NF_QUEUE = 3
	// NF_REPEAT sends the packet through the hook that queued it once more (nfqueue.Repeat).
	NF_REPEAT = 4
	// NF_STOP lets the packet go on and skips the remaining chains of the hook (nfqueue.Stop).
	NF_STOP = 5
)

// Modes for SetMode, by their numbers in linux/netfilter/nfnetlink_queue.h. They are variables for
// the sake of old programs; do not change them.
var (
	// NFQNL_COPY_NONE makes the kernel drop every packet that reaches the queue (nfqueue.CopyNone).
	NFQNL_COPY_NONE uint8 = 0
	// NFQNL_COPY_META leaves Payload.Data empty (nfqueue.CopyMeta).
	NFQNL_COPY_META uint8 = 1
	// NFQNL_COPY_PACKET copies whole packets (nfqueue.CopyPacket).
	NFQNL_COPY_PACKET uint8 = 2
)
