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

// enteredEnv marks the second run of the program. Without it the program would run itself for ever
// on a kernel that gives user namespaces no capabilities.
const enteredEnv = "NFQUEUE_NETLAB_ENTERED"

// Enter makes the process able to create hosts. Call it first thing in main or TestMain.
//
// With CAP_SYS_ADMIN and CAP_NET_ADMIN it returns nil at once. Otherwise it runs this program
// again, with the same arguments, environment and standard streams, as root of a new user namespace
// and network namespace. There Enter returns nil. In the first process it does not return: it
// forwards signals, and exits with the status of the second process (128 plus the signal's number
// if a signal ended that).
//
// An error says why the kernel refused and what allows it; the process is then unchanged.
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
		// The loopback interface of the new network namespace is down. Package net would conclude, once
		// for the whole process, that there is no IPv6.
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

// Entered reports whether this is the second run of the program, in namespaces of its own.
func Entered() bool { return entered }

// capable reports whether the calling thread may make and enter network namespaces.
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
				// An error means that the child has just ended; the other channel tells.
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
