// SPDX-License-Identifier: GPL-2.0-or-later

//go:build unix

// Command upgrade serves a rule that its arguments say:
//
//	upgrade in tcp dport 443
//
// On SIGHUP it starts its program file anew, which may be another version by now, hands the
// queue and the rule to the new process and ends. No packet is lost meanwhile or judged twice.
// SIGTERM ends whichever process has the queue, also in the middle of that.
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
	"strings"
	"syscall"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/rules"
)

// inherited tells a new process that it has the socket of the queue as descriptor 3, that
// of the rules as descriptor 4, and a pipe for saying that it is ready as descriptor 5.
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

	rule, err := rules.Parse(strings.Join(os.Args[1:], " "))
	if err != nil {
		return err
	}
	q, set, err := open(nfqueue.Config{Queue: rule.Queue, Fallback: nfqueue.Accept}, rule)
	if err != nil {
		return err
	}
	defer set.Close()
	// Not ctx: a process that has been started must get the queue as it is.
	serving, end := context.WithCancel(context.Background())
	defer end()
	served := make(chan error, 1)
	judged := 0
	go func() {
		err := q.Serve(serving, nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			judged++
			return nfqueue.Accept // what the program is for
		}))
		log.Printf("process %d judged %d packets", os.Getpid(), judged)
		served <- err
	}()
	log.Printf("process %d serves the queue", os.Getpid())
	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			err := set.Stop() // new packets pass
			end()
			return errors.Join(err, <-served)
		case <-upgrades:
			next, err := handOver(ctx, q, set, program)
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

// open opens the queue and installs the rule, or takes both over from the process that started
// this one.
func open(cfg nfqueue.Config, rule rules.Rule) (q *nfqueue.Queue, set *rules.Set, err error) {
	if os.Getenv(inherited) == "" {
		if q, err = nfqueue.Open(cfg); err != nil {
			return nil, nil, err
		}
		if set, err = rules.Install(rules.Config{}, rule); err != nil {
			return nil, nil, errors.Join(err, q.Close())
		}
		return q, set, nil
	}
	files := [3]*os.File{}
	for i := range files {
		files[i] = os.NewFile(uintptr(3+i), "inherited")
		defer files[i].Close()
	}
	if q, err = nfqueue.OpenFile(files[0], cfg); err != nil {
		return nil, nil, err
	}
	if set, err = rules.OpenFile(files[1], rules.Config{}, rule); err != nil {
		return nil, nil, err
	}
	_, err = files[2].Write([]byte{1})
	return q, set, err
}

// handOver starts program and leaves the queue and the rule to the new process, next. Until that
// is ready, and if it fails or ctx ends before, this one goes on, and there is no next.
func handOver(ctx context.Context, q *nfqueue.Queue, set *rules.Set,
	program string) (next *os.Process, err error) {
	socket, err := q.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	owner, err := set.File()
	if err != nil {
		return nil, err
	}
	defer owner.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inherited+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{socket, owner, tell}
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
	return cmd.Process, errors.Join(set.Release(), q.Release(release)) // Serve returns
}
