// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"
)

// machine is how QEMU emulates an architecture (Debian's name).
type machine struct {
	program string
	args    []string
	console string
}

var machines = map[string]machine{
	// With cx16 the emulation of cmpxchg16b in QEMU 7.2 corrupts Linux 6.12 now and then.
	"amd64": {"qemu-system-x86_64", []string{"-machine", "q35", "-cpu", "max,-cx16"}, "ttyS0"},
	"arm64": {"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a57"}, "ttyAMA0"},
	"s390x": {"qemu-system-s390x", []string{"-machine", "s390-ccw-virtio", "-cpu", "max"}, "ttysclp0"},
}

// hardware is how a machine of this one's kind runs without emulation.
var hardware = map[string][]string{
	"amd64": {"-machine", "q35", "-enable-kvm", "-cpu", "host"},
}

// cpuArgs returns the arguments for an architecture.
func (m machine) cpuArgs(arch string) []string {
	if args := hardware[arch]; args != nil && arch == runtime.GOARCH {
		if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
			kvm.Close()
			return args
		}
	}
	return m.args
}

var qemuVersion = regexp.MustCompile(`QEMU emulator version (\d+)\.`)

// checkVersion fails if the emulator is older than a major version.
func (m machine) checkVersion(ctx context.Context, oldest int) error {
	out, err := output(exec.CommandContext(ctx, m.program, "--version"))
	if err != nil {
		return fmt.Errorf("install %s: %w", m.program, err)
	}
	match := qemuVersion.FindSubmatch(out)
	if match == nil {
		return fmt.Errorf("%s --version says %.100q", m.program, out)
	}
	if major, err := strconv.Atoi(string(match[1])); err != nil || major < oldest {
		return fmt.Errorf("%s is QEMU %s; this kernel needs QEMU %d, which a backports suite may have", m.program, match[1], oldest)
	}
	return nil
}

const (
	memory = "1024" // MiB
	cpus   = "2"
	// overhead is what a guest takes besides its tests.
	overhead = 2 * time.Minute
)

// test boots the guest and returns what it reported.
func (g guest) test(ctx context.Context, cache string, o options, k *kernels, b *binaries) (result outcome) {
	m := machines[g.kernel.arch]
	if result.err = m.checkVersion(ctx, g.qemu); result.err != nil {
		return result
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
	initrd := filepath.Join(run, "initramfs.gz")
	if err := initramfs(initrd, dir, b, o); err != nil {
		return outcome{err: err}
	}
	fmt.Printf("booting %s\n", g.name)
	ctx, cancel := context.WithTimeout(ctx, overhead+time.Duration(len(b.tests))*o.timeout)
	defer cancel()
	args := append(m.cpuArgs(g.kernel.arch), "-m", memory, "-smp", cpus,
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", vmlinuz, "-initrd", initrd, "-append", "console="+m.console+" panic=-1 quiet loglevel=4")
	log, err := os.Create(filepath.Join(run, "log"))
	if err != nil {
		return outcome{err: err}
	}
	defer log.Close()
	qemu := exec.CommandContext(ctx, m.program, args...)
	qemu.Stdout, qemu.Stderr = log, log
	err = qemu.Run()
	result = readLog(log.Name(), b.tests)
	switch {
	case ctx.Err() != nil:
		result.err = fmt.Errorf("it did not end in time, see %s", log.Name())
	case err != nil:
		result.err = errors.Join(result.err, fmt.Errorf("%s: %w, see %s", m.program, err, log.Name()))
	}
	return result
}
