// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// asUsers runs a test as the user who runs the tests, and as nobody.
func asUsers(t *testing.T, test func(t *testing.T, cmd *exec.Cmd)) {
	labtest.Need(t)
	t.Run("as I am", func(t *testing.T) { test(t, command("demo")) })
	t.Run("unprivileged", func(t *testing.T) {
		cmd := command("demo")
		unprivileged(t, cmd)
		test(t, cmd)
	})
}

// needAvailable is labtest.Need for what a run of nfq found out.
func needAvailable(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer) {
	t.Helper()
	if cmd.ProcessState.ExitCode() == exitUnavailable {
		labtest.Must(t, fmt.Errorf("%s (%w)", strings.TrimSpace(stderr.String()), errors.ErrUnsupported))
	}
}

// vanished fails unless no process of the run is left.
func vanished(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := unix.Kill(-cmd.Process.Pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("processes are left: %v", err)
	}
}

func TestDemo(t *testing.T) {
	asUsers(t, func(t *testing.T, cmd *exec.Cmd) {
		outside := labtest.Host(t)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		labtest.Must(t, outside.Do(cmd.Start))
		_ = cmd.Wait()
		needAvailable(t, cmd, &stderr)
		if code := cmd.ProcessState.ExitCode(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if stderr.Len() > 0 {
			t.Errorf("stderr %q", &stderr)
		}
		if !strings.Contains(stdout.String(), "\nall 28 flows as expected") ||
			strings.Contains(stdout.String(), "\x1b") {
			t.Errorf("stdout:\n%s", &stdout)
		}
		vanished(t, cmd)
		links, err := netlab.In(outside, net.Interfaces)
		labtest.Must(t, err)
		if len(links) != 1 {
			t.Errorf("links outside of the demo's namespaces: %v, want lo alone", links)
		}
	})
}

func TestDemoInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			asUsers(t, func(t *testing.T, cmd *exec.Cmd) {
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				stdout := smallPipe(t, cmd)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = cmd.Process.Kill() })
				_ = cmd.Stdout.(*os.File).Close()

				lines := bufio.NewReader(stdout)
				for {
					l, err := lines.ReadString('\n')
					if err != nil {
						_ = cmd.Wait()
						needAvailable(t, cmd, &stderr)
						t.Fatalf("no packet seen: %v, stderr %q", err, &stderr)
					}
					if strings.Contains(l, "echo request") {
						break
					}
				}
				interrupt(t, cmd.Process.Pid, signal)
				rest, err := io.ReadAll(lines)
				if err != nil {
					t.Error(err)
				}
				_ = cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
					t.Errorf("exit code %d, want %d", code, exitInterrupted)
				}
				if want := "nfq: interrupted\n"; stderr.String() != want {
					t.Errorf("stderr %q, want %q", &stderr, want)
				}
				if bytes.Contains(rest, []byte("RESULT")) {
					t.Error("there is a table")
				}
				vanished(t, cmd)
			})
		})
	}
}

// interrupt sends a signal to the process that runs the demo, which is a child of the
// one with the given id when that is not privileged, and returns when it has arrived.
func interrupt(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	children, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range children {
		// The parent's id is the second field behind the name in parentheses.
		stat, _ := os.ReadFile(path)
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if pid, err = strconv.Atoi(path[len("/proc/") : len(path)-len("/stat")]); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if err := unix.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
	const pending = "\nShdPnd:\t"
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), pending)
		mask, _, _ := strings.Cut(rest, "\n")
		set, err := strconv.ParseUint(mask, 16, 64)
		if err != nil {
			t.Fatalf("pending signals %q: %v", mask, err)
		}
		if set&(1<<(signal-1)) == 0 {
			return
		}
		runtime.Gosched()
	}
}

// smallPipe makes the standard output of cmd hold a few lines only. The program cannot end before
// they are read.
func smallPipe(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	read, write := os.NewFile(uintptr(fds[0]), "stdout"), os.NewFile(uintptr(fds[1]), "stdout")
	t.Cleanup(func() {
		_ = read.Close()
		_ = write.Close()
	})
	// The kernel makes it as small as it can be.
	if err := unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	return read
}
