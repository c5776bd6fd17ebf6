// SPDX-License-Identifier: GPL-2.0-or-later

//go:build unix

// Command upgrade serves queue 0. On SIGHUP it starts its program file anew, which may be
// another version by now, hands the queue to the new process and ends. No packet is lost
// meanwhile. SIGTERM ends whichever process has the queue, also in the middle of that.
//
// The new process is a child of the old one. systemd must be told, or it ends both when the
// old one does: with Type=notify, send "MAINPID=" and the new process id to $NOTIFY_SOCKET
// before Release (sd_notify(3)); RestrictAddressFamilies must then allow AF_UNIX.
package main

import (
	"context"
	"errors"
	"fmt"
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
	// Not ctx: a process that has been started must get the queue as it is.
	serving, end := context.WithCancel(context.Background())
	defer end()
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(serving, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept // what the program is for
		}))
	}()
	log.Printf("process %d serves the queue", os.Getpid())
	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			// Has new packets pass: after an upgrade that failed they would be left to a
			// process that is not there.
			err := errors.Join(q.SetFlags(nfqueue.FailOpen, nfqueue.FailOpen), q.SetMaxLen(nfqueue.MaxLenNone))
			end()
			return errors.Join(err, <-served)
		case <-upgrades:
			next, err := handOver(ctx, q, program)
			if next == nil {
				log.Printf("go on without an upgrade: %v", err)
				continue
			}
			if ctx.Err() != nil { // it came too late for this process
				err = errors.Join(err, next.Signal(syscall.SIGTERM))
			}
			return errors.Join(err, <-served)
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

// handOver starts program and leaves the queue to the new process, next. Until that is ready,
// and if it fails or ctx ends before, this one goes on, and there is no next.
func handOver(ctx context.Context, q *nfqueue.Queue, program string) (next *os.Process, err error) {
	socket, err := q.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inherited+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{socket, tell}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Now()) })
	n, _ := ready.Read(make([]byte, 1))
	stop()
	if n == 0 {
		cmd.Process.Signal(syscall.SIGTERM) // it may just have begun to serve
		defer time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() }).Stop()
		cmd.Wait()
		return nil, fmt.Errorf("the new process was not ready: %v", cmd.ProcessState)
	}
	release, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return cmd.Process, q.Release(release) // Serve returns
}
