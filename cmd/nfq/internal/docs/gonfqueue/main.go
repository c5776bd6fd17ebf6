// SPDX-License-Identifier: GPL-2.0-or-later

// Command gonfqueue is the program of docs/migration.md that uses github.com/florianl/go-nfqueue. It has a module of its
// own: no other needs that.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := nfqueue.Config{
		NfQueue:      0,
		MaxPacketLen: 0xffff,
		MaxQueueLen:  1024,
		Copymode:     nfqueue.NfQnlCopyPacket,
		WriteTimeout: 15 * time.Millisecond,
	}
	nf, err := nfqueue.Open(&config)
	if err != nil {
		log.Fatal(err)
	}
	defer nf.Close()
	if err := nf.SetOption(netlink.NoENOBUFS, true); err != nil {
		log.Fatal(err)
	}
	decide := func(a nfqueue.Attribute) int {
		if a.Mark != nil && *a.Mark == 7 {
			nf.SetVerdict(*a.PacketID, nfqueue.NfDrop)
		} else {
			nf.SetVerdictWithOption(*a.PacketID, nfqueue.NfAccept, nfqueue.WithMark(7))
		}
		return 0
	}
	if err := nf.RegisterWithErrorFunc(ctx, decide, func(err error) int {
		log.Print(err)
		return 0
	}); err != nil {
		log.Fatal(err)
	}
	<-ctx.Done()
}
