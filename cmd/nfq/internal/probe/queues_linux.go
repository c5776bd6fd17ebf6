// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"fmt"
	"slices"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/queuerules"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
)

// queues checks the bound queues, of which two snapshots were taken some time apart. all are the rules that queue, if
// these are complete.
func (r *Report) queues(before, now stat.Snapshot, all []queuerules.Rule, complete bool) {
	if len(now.Queues) == 0 {
		r.add("queues-present", Info, "", "no queue is bound")
	}
	for _, q := range now.Queues {
		name := fmt.Sprintf("queue %d of %s", q.Queue, q.Process())
		if q.CopyMode == nfqueue.CopyNone.String() {
			r.add("queue-copy-mode", Problem, "the program has to set copy mode packet or meta", "%s: its copy mode is none, so that every packet is dropped", name)
		}
		if complete && !slices.ContainsFunc(all, func(rule queuerules.Rule) bool { return pointsAt(rule, q.Queue) }) {
			r.add("queue-rule", Warning, fmt.Sprintf("add a rule, for example: iptables -I FORWARD -j NFQUEUE --queue-num %d --queue-bypass", q.Queue),
				"%s: no rule points at it, so that it gets no packets", name)
		}
		if q.QueueDropped > 0 {
			r.add("queue-dropped", Warning, "raise the maximum length of the queue, decide packets faster, or set fail-open",
				"%s: %d packets dropped because it was full", name, q.QueueDropped)
		}
		if q.SocketDropped > 0 {
			r.add("queue-socket-dropped", Warning, "raise the receive buffer of its socket (and net.core.rmem_max if the program lacks CAP_NET_ADMIN in the initial user namespace), or set fail-open",
				"%s: %d packets dropped because the receive buffer was full", name, q.SocketDropped)
		}
		if i := slices.IndexFunc(before.Queues, func(b stat.Queue) bool { return b.Queue == q.Queue }); i >= 0 {
			r.stuck(name, before.Queues[i], q)
		}
		r.add("queue", Info, "", "%s: %d packets wait, %s", name, q.Backlog, copied(q))
	}
}

// stuck checks that packets are decided: the number that wait does not stay the same without new ones.
func (r *Report) stuck(name string, before, now stat.Queue) {
	if now.Backlog > 0 && now.Backlog == before.Backlog && now.LastID == before.LastID && now.PortID == before.PortID {
		r.add("queue-stuck", Warning, "see whether the program hangs; when it ends, the packets are dropped", "%s: %d packets wait, and none was decided during this check", name, now.Backlog)
	}
}

func pointsAt(rule queuerules.Rule, queue uint16) bool {
	return rule.Mapped || queue >= rule.First && queue <= rule.Last
}

func copied(q stat.Queue) string {
	if q.CopyRange > 0 {
		return fmt.Sprintf("up to %d bytes of each are copied", q.CopyRange)
	}
	return "copy mode " + q.CopyMode
}
