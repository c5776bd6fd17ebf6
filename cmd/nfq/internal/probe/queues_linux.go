// SPDX-License-Identifier: GPL-2.0-or-later

package probe

import (
	"fmt"
	"slices"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/queuerules"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
)

// queues checks the bound queues by two snapshots, taken some time apart. all has the rules that
// queue; complete says whether it has every one.
func (r *Report) queues(before, now stat.Snapshot, all []queuerules.Rule, complete bool) {
	if len(now.Queues) == 0 {
		r.add("queues-present", Info, "", "no queue is bound")
	}
	for _, q := range now.Queues {
		name := fmt.Sprintf("queue %d of %s", q.Queue, q.Process())
		if q.CopyMode == nfqueue.CopyNone.String() {
			r.add("queue-copy-mode", Problem, "the program has to set copy mode packet or meta",
				"%s: its copy mode is none, so that every packet is dropped", name)
		}
		if complete &&
			!slices.ContainsFunc(all, func(rule queuerules.Rule) bool { return pointsAt(rule, q.Queue) }) {
			r.add(
				"queue-rule",
				Warning,
				fmt.Sprintf(
					"add a rule, for example: iptables -I FORWARD -j NFQUEUE --queue-num %d --queue-bypass",
					q.Queue,
				),
				"%s: no rule points at it, so that it gets no packets",
				name,
			)
		}
		if q.QueueDropped > 0 {
			r.add("queue-dropped", Warning,
				"raise the maximum length of the queue, decide packets faster, or set fail-open",
				"%s: %d packets dropped because it was full", name, q.QueueDropped)
		}
		if q.SocketDropped > 0 {
			r.add(
				"queue-socket-dropped",
				Warning,
				"raise the receive buffer of its socket (and net.core.rmem_max if the program lacks CAP_NET_ADMIN in the initial user namespace), or set fail-open",
				"%s: %d packets dropped because the receive buffer was full",
				name,
				q.SocketDropped,
			)
		}
		if i := slices.IndexFunc(before.Queues, func(b stat.Queue) bool { return b.Queue == q.Queue }); i >= 0 {
			r.stuck(name, before.Queues[i], q, now.Time.Sub(before.Time))
		}
		r.add("queue", Info, "", "%s: %d packets wait, %s", name, q.Backlog, copied(q))
	}
}

// stuck checks that packets are decided, whether more keep coming or not.
func (r *Report) stuck(name string, before, now stat.Queue, passed time.Duration) {
	if hangs(before, now) {
		r.add("queue-stuck", Warning,
			"see whether the program hangs; when it ends, the packets are dropped",
			"%s: %d packets wait, and none was decided in %.1f s", name, now.Backlog, passed.Seconds())
	}
}

// hangs reports whether packets of a queue waited and none got a verdict between two snapshots.
// Each packet that got an id, except those lost at the socket, waits or was decided.
func hangs(before, now stat.Queue) bool {
	return now.PortID == before.PortID && before.Backlog > 0 && now.Backlog > 0 &&
		now.Decided == before.Decided
}

// anyHangs reports whether one of the queues hangs.
func anyHangs(before, now stat.Snapshot) bool {
	return slices.ContainsFunc(now.Queues, func(q stat.Queue) bool {
		return slices.ContainsFunc(before.Queues,
			func(b stat.Queue) bool { return b.Queue == q.Queue && hangs(b, q) })
	})
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
