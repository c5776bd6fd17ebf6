// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	rtnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// enteredEnv tells the second run of the program that it is the second, so that a kernel which
// hands out user namespaces without capabilities cannot make it run for ever.
const enteredEnv = "NFQUEUE_NETLAB_ENTERED"

// Enter makes the process able to create hosts. Call it first thing in main or TestMain.
//
// With CAP_SYS_ADMIN and CAP_NET_ADMIN it returns nil at once. Without, it runs this program again,
// with the same arguments, environment and standard streams, as root of a new user namespace and
// network namespace, passes signals on to it, and ends with its exit status (128 plus the signal's
// number if a signal ended it): Enter then does not return in the first process, and returns nil in
// the second.
//
// An error says why the kernel refused and how to get leave; the process is then unchanged.
func Enter() error {
	second := os.Getenv(enteredEnv) != ""
	if err := os.Unsetenv(enteredEnv); err != nil {
		return err
	}
	able, err := capable()
	if err != nil {
		return err
	}
	switch {
	case second && able:
		entered = true
		// The new network namespace starts with a dead loopback, on which package net would conclude once
		// and for all that there is no IPv6.
		return loopbackUp()
	case second:
		return refusal(unix.EPERM, readSysctl)
	case able:
		return nil
	}
	status, err := runAgain()
	if err != nil {
		return refusal(err, readSysctl)
	}
	os.Exit(status)
	return nil
}

var entered bool

// Entered reports whether Enter has run the program again, so that it is in namespaces of its own.
func Entered() bool { return entered }

// capable reports whether the calling thread has the capabilities for making and entering network
// namespaces.
func capable() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("netlab: capget: %w", err)
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need, nil
}

// runAgain runs this program in new namespaces and returns its exit status.
func runAgain() (int, error) {
	// The parent death signal is sent when the thread ends that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), enteredEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}

	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		// A caught signal reaches the child as the default, an ignored one as ignored (nohup).
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)

	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == unix.SIGTERM || !Foreground() {
				// An error means that the child has just ended, which comes through the other channel.
				_ = cmd.Process.Signal(s)
			}
		case err := <-ended:
			if cmd.ProcessState == nil {
				return 0, err
			}
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
	}
}

// Foreground reports whether the process is in the foreground of its terminal. The terminal then
// sends SIGINT, SIGQUIT and SIGHUP to the child too, for which a second one would mean "at once".
func Foreground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }()
	group, err := unix.IoctlGetUint32(int(tty.Fd()), unix.TIOCGPGRP) // of 32 bits, pid_t
	return err == nil && int(group) == unix.Getpgrp()
}

// loopbackUp sets lo up in the network namespace of the calling thread.
func loopbackUp() error {
	lo, err := rtnl.LinkByName("lo")
	if err == nil {
		err = rtnl.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("netlab: lo up: %w", err)
	}
	return nil
}
