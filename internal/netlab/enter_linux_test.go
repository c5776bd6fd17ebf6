// SPDX-License-Identifier: GPL-2.0-or-later

package netlab_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// These make the test program act as somebody else's program, see TestProgram.
const (
	unprivilegedEnv = "NETLAB_TEST_UNPRIVILEGED"
	programEnv      = "NETLAB_TEST_PROGRAM"
)

// dropCapabilities takes from the thread what Enter looks for. It leaves CAP_SETFCAP, which mapping
// root needs.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	const drop = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	data[0].Effective &^= drop
	data[0].Permitted &^= drop
	return unix.Capset(&header, &data[0])
}

// actUnprivileged drops the capabilities before Enter if the environment asks for it.
func actUnprivileged() {
	if os.Getenv(unprivilegedEnv) == "" {
		return
	}
	runtime.LockOSThread() // capabilities are the thread's
	if err := os.Unsetenv(unprivilegedEnv); err != nil {
		panic(err)
	}
	if err := dropCapabilities(); err != nil {
		panic(err)
	}
}

// program prepares an unprivileged run of TestProgram.
func program(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	labtest.Need(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestProgram$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), unprivilegedEnv+"=1", programEnv+"="+name)
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// TestProgram is the body of the programs that the other tests run.
func TestProgram(t *testing.T) {
	switch os.Getenv(programEnv) {
	case "status":
		in, _ := io.ReadAll(os.Stdin)
		fmt.Printf("stdin %q uid %d\n", in, os.Getuid())
		fmt.Fprintln(os.Stderr, "to stderr")
		os.Exit(7)
	case "loopback":
		conn, err := net.ListenPacket("udp", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	case "abort":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "signals":
		caught := make(chan os.Signal, 8)
		signal.Notify(caught, unix.SIGINT, unix.SIGTERM)
		fmt.Println("ready")
		for s := range caught {
			fmt.Println("caught", s)
			if s == unix.SIGTERM {
				os.Exit(3)
			}
		}
	case "leak descriptor":
		if _, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	case "leak goroutine":
		go func() { select {} }()
	case "need":
		labtest.Need(t)
	default:
		return // not run as a program
	}
}

func TestEnterPassesOn(t *testing.T) {
	cmd := program(t, "status")
	cmd.Stdin = strings.NewReader("some input")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	if status := cmd.ProcessState.ExitCode(); status != 7 {
		t.Errorf("exit status %d, want 7", status)
	}
	if want := "stdin \"some input\" uid 0\n"; !strings.Contains(string(out), want) {
		t.Errorf("stdout %q, want %q", out, want)
	}
	if want := "to stderr\n"; !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
}

// Package net looks at the loopback of the new namespace.
func TestEnterLoopback(t *testing.T) {
	if out, err := program(t, "loopback").CombinedOutput(); err != nil {
		t.Errorf("%v, output:\n%s", err, out)
	}
}

func TestEnterEndedBySignal(t *testing.T) {
	cmd := program(t, "abort")
	_ = cmd.Run()
	if status, want := cmd.ProcessState.ExitCode(), 128+int(unix.SIGKILL); status != want {
		t.Errorf("exit status %d, want %d", status, want)
	}
}

// lines starts the program and returns its standard output line by line; the program is ended with
// the test.
func lines(t *testing.T, cmd *exec.Cmd, out io.Reader) func() string {
	t.Helper()
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	scanner := bufio.NewScanner(out)
	return func() string {
		for scanner.Scan() {
			if line := strings.TrimSpace(scanner.Text()); !strings.HasPrefix(line, "=== ") {
				return line
			}
		}
		if errors.Is(scanner.Err(), os.ErrDeadlineExceeded) {
			return "nothing"
		}
		return "end of output"
	}
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("program wrote %q, want %q", got, want)
	}
}

func TestEnterForwardsSignals(t *testing.T) {
	// Children inherit that a signal is ignored, as SIGINT is by what a shell starts in the
	// background, but not that it is caught.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, unix.SIGINT)
	defer signal.Stop(interrupts)
	cmd := program(t, "signals")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	next := lines(t, cmd, out)
	want(t, next(), "ready")
	for _, s := range []syscall.Signal{unix.SIGINT, unix.SIGINT, unix.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		want(t, next(), "caught "+s.String())
	}
	want(t, next(), "end of output")
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 3 {
		t.Errorf("exit status %d, want 3", status)
	}
}

// Ctrl-C goes to all processes of the terminal's foreground; the program must not see it twice.
func TestEnterInterruptFromTerminal(t *testing.T) {
	cmd := program(t, "signals")
	control, terminal := openTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	next := lines(t, cmd, control)
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, next(), "ready")
	if _, err := control.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	// The terminal's echo of Ctrl-C may come before or after what the program says to it.
	want(t, strings.TrimPrefix(next(), "^C"), "caught interrupt")
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, strings.TrimPrefix(next(), "^C"), "caught terminated")
}

// openTerminal makes a pseudo terminal.
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = control.Close() })
	raw, err := control.SyscallConn() // Fd would take the deadlines away
	if err != nil {
		t.Fatal(err)
	}
	var number uint32
	var ioctlErr error
	err = raw.Control(func(fd uintptr) {
		if ioctlErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctlErr == nil {
			number, ioctlErr = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil || ioctlErr != nil {
		t.Fatal(err, ioctlErr)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return control, terminal
}

// The second process must not outlive the first one.
func TestEnterKilled(t *testing.T) {
	cmd := program(t, "signals")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	next := lines(t, cmd, out)
	want(t, next(), "ready")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, next(), "end of output")
}

// A kernel may make the user namespace and keep the capabilities back.
func TestNeedWithoutCapabilities(t *testing.T) {
	for _, c := range []struct {
		require, want string
		status        int
	}{
		{"0", "--- SKIP: TestProgram", 0},
		{"1", "--- FAIL: TestProgram", 1},
	} {
		cmd := program(t, "need", "NFQUEUE_NETLAB_ENTERED=1", "NFQUEUE_REQUIRE_KERNEL="+c.require)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.status || !strings.Contains(string(out), c.want) ||
			!strings.Contains(string(out), "run as root") {
			t.Errorf("NFQUEUE_REQUIRE_KERNEL=%s: exit status %d, output:\n%s", c.require,
				cmd.ProcessState.ExitCode(), out)
		}
	}
}

func TestMainFindsLeaks(t *testing.T) {
	for name, want := range map[string]string{
		"leak descriptor": "leaked descriptor",
		"leak goroutine":  "unexpected goroutines",
	} {
		out, err := program(t, name).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, output:\n%s", name, err, out)
		}
	}
}
