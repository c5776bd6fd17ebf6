// SPDX-License-Identifier: GPL-2.0-or-later

package owner_test

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/owner"
)

// Names the program behind each packet that leaves. A rule has to send packets to queue 0, such as
// "iptables -I OUTPUT -m conntrack --ctstate NEW -j NFQUEUE --queue-bypass": only the first packet
// of each connection waits until its program is found.
func ExampleFinder() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var finder owner.Finder
	err := nfqueue.Run(ctx, nfqueue.Config{Flags: nfqueue.UIDGID},
		nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			flow, ok := p.Flow()
			uid, known := p.UID()
			if !ok || !known {
				return nfqueue.Accept
			}
			found, err := finder.Find(flow, uid)
			if err != nil {
				log.Printf("%v: %v", flow, err)
				return nfqueue.Accept
			}
			for _, process := range found.Processes {
				log.Printf("%v: %s (%d) in %s", flow, process.Name, process.PID, process.Cgroup)
			}
			return nfqueue.Accept
		}))
	if err != nil {
		log.Print(err)
	}
}
