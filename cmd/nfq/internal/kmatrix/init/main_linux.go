// SPDX-License-Identifier: GPL-2.0-or-later

// Command init is the first program of a guest of kmatrix. It mounts what tests
// expect, loads modules, runs programs one after another, reports on the console,
// and switches the machine off.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	mount("devtmpfs", "/dev")
	mount("devpts", "/dev/pts")
	mount("proc", "/proc")
	mount("sysfs", "/sys")
	mount("tmpfs", "/tmp")
	mount("tmpfs", "/run")
	var u unix.Utsname
	warn("uname", unix.Uname(&u))
	fmt.Println("kmatrix: kernel", unix.ByteSliceToString(u.Release[:]))
	for _, file := range lines("/kmatrix/modules") {
		warn(file, load(file))
	}
	warn("lo", loopbackUp())
	for _, job := range lines("/kmatrix/jobs") {
		fields := strings.Split(job, "\t")
		run(fields[0], fields[1], fields[2:])
	}
	fmt.Println("kmatrix: done")
	time.Sleep(100 * time.Millisecond) // a slow console is still printing
	warn("power off", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	select {}
}

func warn(what string, err error) {
	if err != nil {
		fmt.Printf("kmatrix: warning: %s: %v\n", what, err)
	}
}

func mount(fstype, dir string) {
	warn(dir, errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(fstype, dir, fstype, 0, "")))
	if fstype == "devtmpfs" {
		// What was opened before shows nothing on some machines.
		console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
		if err != nil {
			return
		}
		for fd := range 3 {
			warn("console", unix.Dup3(int(console.Fd()), fd, 0))
		}
	}
}

func load(file string) error {
	image, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := unix.InitModule(image, ""); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// loopbackUp sets lo up. Without it package net thinks that there is no IPv6.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// run runs a program in a folder.
func run(name, dir string, argv []string) {
	fmt.Println("kmatrix: start", name)
	start := time.Now()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = lines("/kmatrix/env")
	if _, err := os.Stat("/kmatrix/user"); err == nil {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	status := 0
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		// A signal is -1.
		if status = 125; cmd.ProcessState != nil {
			status = cmd.ProcessState.ExitCode()
		}
	}
	fmt.Println("kmatrix: end", name, status, time.Since(start).Round(time.Second))
}

func lines(file string) []string {
	text, err := os.ReadFile(file)
	warn(file, err)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}
