// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

// Command privileges is started as root, gives up everything but CAP_NET_ADMIN and serves
// queue 0 as another user. The kernel asks for that capability with every verdict, of the
// thread that sends it, so it cannot be given up after the queue is open.
//
//	iptables -A OUTPUT -p udp --dport 53 -j NFQUEUE --queue-num 0 --queue-bypass
//	go build && sudo ./privileges 65534
//
// Without an argument it serves with what it has: privileges.service lets systemd do the
// rest.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/chifflier/nfqueue-go"
	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 {
		id, err := strconv.Atoi(os.Args[1])
		if err == nil {
			err = become(id)
		}
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := nfqueue.Run(ctx, nfqueue.Config{Queue: 0},
		nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
			return nfqueue.Accept // what the program is for
		}))
	if err != nil {
		log.Fatal(err)
	}
}

// become starts the program anew, in the same process, as a user and group with that id
// and with CAP_NET_ADMIN alone. Linux keeps these by thread; a new program has one, from
// which all others inherit. It returns only if that fails.
func become(id int) error {
	runtime.LockOSThread()
	for c := range uintptr(64) {
		if c != unix.CAP_NET_ADMIN {
			err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
			if err == unix.EINVAL { // there are no more
				break
			}
			if err != nil {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	if id != os.Getuid() {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("give up groups: %w", err)
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(id), uintptr(id), uintptr(id)); e != 0 {
			return fmt.Errorf("become group %d: %w", id, e)
		}
		// Of this thread only, unlike syscall.Setuid: KEEPCAPS is a thread's too.
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(id), uintptr(id), uintptr(id)); e != 0 {
			return fmt.Errorf("become user %d: %w", id, e)
		}
	}
	const admin = 1 << unix.CAP_NET_ADMIN
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	sets := [2]unix.CapUserData{{Effective: admin, Permitted: admin, Inheritable: admin}}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("keep CAP_NET_ADMIN alone: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN, 0,
		0); err != nil {
		return fmt.Errorf("pass CAP_NET_ADMIN on: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return fmt.Errorf("start anew: %w", syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ()))
}
