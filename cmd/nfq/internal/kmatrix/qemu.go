// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// machine is how QEMU emulates an architecture (Debian's name).
type machine struct {
	program string
	pkg     string // of Debian, that has the program
	args    []string
	console string
}

var machines = map[string]machine{
	// Without cx16: the emulation of cmpxchg16b in QEMU 7.2 corrupted Linux 6.12 now and then.
	"amd64": {"qemu-system-x86_64", "qemu-system-x86",
		[]string{"-machine", "q35", "-cpu", "max,-cx16"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", "qemu-system-arm",
		[]string{"-machine", "virt", "-cpu", "cortex-a57"}, "ttyAMA0"},
	"s390x": {"qemu-system-s390x", "qemu-system-s390x",
		[]string{"-machine", "s390-ccw-virtio", "-cpu", "max"}, "ttysclp0"},
}

// hardware is how a machine of this one's kind runs without emulation, with two processors.
// Emulated ones wait for each other: tests take half as long again on two as on one.
var hardware = map[string][]string{
	"amd64": {"-machine", "q35", "-enable-kvm", "-cpu", "host", "-smp", "2"},
}

// cpuArgs returns the arguments for an architecture, those to try first in front.
func (m machine) cpuArgs(arch string) [][]string {
	if args := hardware[arch]; args != nil && arch == runtime.GOARCH {
		if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
			kvm.Close()
			return [][]string{args, m.args}
		}
	}
	return [][]string{m.args}
}

const (
	memory = "2048" // MiB
	// parameters are for the kernel: it dies of a panic, prints what is serious only, and
	// does not take its time when a namespace or a rule goes. SELinux is for security
	// contexts; without a policy it forbids nothing.
	parameters = "panic=-1 quiet loglevel=4 rcupdate.rcu_expedited=1 security=selinux selinux=1"
	// overhead is what a guest takes besides its jobs.
	overhead = 2 * time.Minute
)

// test boots the guest and returns what it reported.
func (g guest) test(ctx context.Context, cache string, o options, k *kernels,
	b *binaries) (result outcome) {
	m := machines[g.kernel.arch]
	command, err := k.emulator(ctx, g.kernel.arch)
	if err != nil {
		return outcome{err: err}
	}
	dir, err := k.get(ctx, g.kernel)
	if err != nil {
		return outcome{err: err}
	}
	vmlinuz, err := image(dir)
	if err != nil {
		return outcome{err: err}
	}
	run := filepath.Join(cache, "run", g.name)
	if err := os.MkdirAll(run, 0o755); err != nil {
		return outcome{err: err}
	}
	initrd := filepath.Join(run, "initramfs")
	if err := initramfs(initrd, dir, g, b, o); err != nil {
		return outcome{err: err}
	}
	fmt.Printf("booting %s\n", g.name)
	jobs := b.jobs(o)
	ctx, cancel := context.WithTimeout(ctx, overhead+time.Duration(len(jobs))*o.timeout)
	defer cancel()
	args := []string{"-m", memory,
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", vmlinuz, "-initrd", initrd, "-append", "console=" + m.console + " " + parameters}
	log := filepath.Join(run, "log")
	for _, cpu := range m.cpuArgs(g.kernel.arch) {
		err = boot(ctx, log, command, cpu, args)
		result = readLog(log, jobs)
		if err == nil || result.kernel != "" || ctx.Err() != nil {
			break
		}
		// A virtual machine may offer KVM and then not run guests with it.
		fmt.Printf("%s did not boot with %s\n", g.name, strings.Join(cpu, " "))
	}
	switch {
	case ctx.Err() != nil:
		result.err = fmt.Errorf("it did not end in time, see %s", log)
	case err != nil:
		result.err = errors.Join(result.err, fmt.Errorf("%s: %w, see %s", m.program, err, log))
	}
	return result
}

// boot runs QEMU, with what it prints in a file.
func boot(ctx context.Context, log string, command []string, args ...[]string) error {
	file, err := os.Create(log)
	if err != nil {
		return err
	}
	defer file.Close()
	qemu := exec.CommandContext(ctx, command[0], slices.Concat(append([][]string{command[1:]},
		args...)...)...)
	qemu.Stdout, qemu.Stderr = file, file
	return qemu.Run()
}
