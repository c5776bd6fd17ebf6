// SPDX-License-Identifier: GPL-2.0-or-later

//go:build unix

// Command upgrade serves queue 0. On SIGHUP it starts its program file anew, which may be
// another version by now, hands the queue to the new process and ends. No packet is lost
// meanwhile.
//
// The new process is a child of the old one. systemd must be told, or it ends both when the
// old one does: with Type=notify, send "MAINPID=" and the new process id to $NOTIFY_SOCKET
// before Release (sd_notify(3)); RestrictAddressFamilies must then allow AF_UNIX.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// inherited tells a new process that it has the socket of the queue as descriptor 3, and
// a pipe for saying that it is ready as descriptor 4.
const inherited = "UPGRADE_INHERITED"

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	program, err := os.Executable() // later it may be the path to which an old version was moved
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	upgrades := make(chan os.Signal, 1)
	signal.Notify(upgrades, syscall.SIGHUP)

	q, err := open(nfqueue.Config{Queue: 0, Fallback: nfqueue.Accept})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(ctx, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept // what the program is for
		}))
	}()
	log.Printf("process %d serves the queue", os.Getpid())
	for {
		select {
		case err := <-served:
			return err
		case <-upgrades:
			if err := handOver(q, program); err != nil {
				log.Printf("go on without an upgrade: %v", err)
			}
		}
	}
}

// open opens the queue, or takes it over from the process that started this one.
func open(cfg nfqueue.Config) (*nfqueue.Queue, error) {
	if os.Getenv(inherited) == "" {
		return nfqueue.Open(cfg)
	}
	socket, ready := os.NewFile(3, "socket"), os.NewFile(4, "ready")
	defer socket.Close()
	defer ready.Close()
	q, err := nfqueue.OpenFile(socket, cfg)
	if err == nil {
		_, err = ready.Write([]byte{1})
	}
	return q, err
}

// handOver starts program and leaves the queue to the new process. Until that is ready, and
// if it fails, this one goes on.
func handOver(q *nfqueue.Queue, program string) error {
	socket, err := q.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inherited+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{socket, tell}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return err
	}
	if n, _ := ready.Read(make([]byte, 1)); n == 0 {
		return errors.Join(errors.New("the new process was not ready"), cmd.Wait())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return q.Release(ctx) // Serve returns
}
