// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/cli"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// actArg, as first argument, makes the test program act as a command that nfq runs.
const actArg = "act-as-command"

// act does what a test wants of a command, and returns its exit status.
func act(args []string) int {
	switch args[0] {
	case "exit":
		status, _ := strconv.Atoi(args[1])
		return status
	case "udp": // sends a datagram to a port of loopback, and has a child of a child send another
		c, err := net.Dial("udp", "127.0.0.1:"+args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write([]byte(args[2])); err != nil {
			fmt.Println(err)
			return 1
		}
		if len(args) > 3 {
			if err := exec.Command("/proc/self/exe", append([]string{actArg, "udp", args[1]},
				args[3:]...)...).Run(); err != nil {
				fmt.Println(err)
				return 1
			}
		}
		return 0
	case "numbers":
		return report(sendNumbers())
	case "ask":
		return report(askSystem())
	case "links":
		links, err := net.InterfaceAddrs()
		fmt.Println(links, err)
		return 0
	case "rules": // has a queue and a rule
		return report("", serveRule(args[1]))
	case "wait": // for a signal
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1)
		if len(args) > 1 {
			fmt.Println(os.Getpid())
		} else {
			fmt.Println("ready")
		}
		fmt.Println(<-signals)
		return 9
	case "limited": // nfq with a limit of descriptors
		n, _ := strconv.ParseUint(args[1], 10, 64)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return report("", err)
		}
		return cli.Main(args[2:])
	case "small-files": // nfq with a limit of the size of files
		signal.Ignore(unix.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: smallFile,
			Max: smallFile}); err != nil {
			return report("", err)
		}
		return cli.Main(args[1:])
	case "without-proc": // nfq in a mount namespace of its own
		if err := errors.Join(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("none", "/proc", "tmpfs", 0, "")); err != nil {
			fmt.Fprintln(os.Stderr, "mount:", err)
			return 1
		}
		return cli.Main(args[1:])
	case "kill":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	return 1
}

// running prepares nfq run for a command that acts.
func running(
	t *testing.T,
	flags []string,
	args ...string,
) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	cmd = command(
		append(
			append(append([]string{"run"}, flags...), "--", "/proc/self/exe", actArg),
			args...)...)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

func TestRunShowsTheCommandAlone(t *testing.T) {
	for _, name := range []string{"as I am", "unprivileged"} {
		t.Run(name, func(t *testing.T) {
			host := labtest.Host(t)
			// Somebody else's traffic, which must not be shown.
			other, err := netlab.In(host, func() (net.Conn, error) { return net.Dial("udp", "127.0.0.1:9") })
			labtest.Must(t, err)
			defer func() { _ = other.Close() }()

			cmd, stdout, stderr := running(t, []string{"--out", "udp dport 9", "--in", "udp dport 9"}, "udp",
				"9", "one", "three", "seven77")
			if name == "unprivileged" {
				unprivileged(t, cmd)
			}
			labtest.Must(t, host.Do(cmd.Start))
			_, _ = other.Write([]byte("something else of another length"))
			_ = cmd.Wait()
			needAvailable(t, cmd, stderr)
			if code := cmd.ProcessState.ExitCode(); code != 0 || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			seen := map[string][]string{} // a packet may be sent before the last one has arrived
			for line := range strings.Lines(stderr.String()) {
				if _, rest, ok := strings.Cut(line, " lo "); ok {
					hook, _, _ := strings.Cut(rest, " ")
					_, length, _ := strings.Cut(rest, "UDP, length ")
					seen[hook] = append(seen[hook], strings.TrimSpace(length))
				}
			}
			lengths := []string{"3", "5", "7"}
			want := map[string][]string{"output": lengths, "input": lengths}
			if !maps.EqualFunc(seen, want, slices.Equal) {
				t.Errorf("saw %v; want %v at output and input\n%s", seen, lengths, stderr)
			}
			vanished(t, cmd)
			wantNoTables(t, host)
		})
	}
}

// A packet that is on its way when its command ends is shown where it arrives.
func TestRunShowsTheLastArrival(t *testing.T) {
	host := labtest.Host(t)
	rule := "udp dport 9"
	cmd, _, stderr := running(t, []string{"--impair", "delay 20ms", "--out", rule, "--in", rule},
		"udp", "9", "seven77")
	labtest.Must(t, host.Do(cmd.Run))
	if !strings.Contains(stderr.String(), " lo input ") {
		t.Errorf("saw no arrival\n%s", stderr)
	}
	wantNoTables(t, host)
}

func TestRunExitStatus(t *testing.T) {
	labtest.Need(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"/proc/self/exe", actArg, "exit", "0"}, 0, ""},
		{[]string{"/proc/self/exe", actArg, "exit", "7"}, 7, ""},
		{[]string{"/proc/self/exe", actArg, "exit", "2"}, 2, ""},
		{[]string{"/proc/self/exe", actArg, "kill"}, 128 + 9, ""},
		{[]string{"/nonexistent"}, 127, "no such file"},
		{[]string{"nonexistent-command"}, 127, "not found"},
		{[]string{"/proc/version"}, 126, "permission denied"},
	} {
		cmd := command(append([]string{"run", "--"}, test.args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		needAvailable(t, cmd, &stderr)
		if code := cmd.ProcessState.ExitCode(); code != test.code ||
			!strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: exit code %d, want %d; %s", test.args, code, test.code, &stderr)
		}
		if refused := test.says != ""; refused == strings.Contains(stderr.String(), "has the address") {
			t.Errorf("%q: %s", test.args, &stderr)
		}
		if strings.Contains(stderr.String(), "--help") ||
			strings.Contains(stderr.String(), "exit status") {
			t.Errorf("%q: %s", test.args, &stderr)
		}
	}
}

func TestRunForwardsSignals(t *testing.T) {
	labtest.Need(t)
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGUSR1} {
		cmd, _, stderr := running(t, nil, "wait")
		cmd.Stdout = nil
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setpgid = true, false // without a terminal
		stdout, err := cmd.StdoutPipe()
		labtest.Must(t, err)
		labtest.Must(t, cmd.Start())
		lines := bufio.NewReader(stdout)
		if line, err := lines.ReadString('\n'); line != "ready\n" {
			_ = cmd.Wait()
			needAvailable(t, cmd, stderr)
			t.Fatalf("%q, %v, %s", line, err, stderr)
		}
		labtest.Must(t, cmd.Process.Signal(s))
		if line, err := lines.ReadString('\n'); line != s.String()+"\n" {
			t.Errorf("the command got %q, %v; want %v", line, err, s)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 9 {
			t.Errorf("%v: exit code %d, want 9; %s", s, code, stderr)
		}
	}
}

// TestRunReachesTheSystem has the command send to the address of the system that nfq shows.
func TestRunReachesTheSystem(t *testing.T) {
	host := labtest.Host(t)
	file := filepath.Join(t.TempDir(), "x.pcapng")
	cmd, stdout, stderr := running(t, []string{"-w", file}, "links")
	labtest.Must(t, host.Do(cmd.Run))
	if !strings.Contains(stderr.String(), "nfq: the command has the address 10.") ||
		!strings.Contains(stdout.String(), " 10.") ||
		!strings.Contains(stdout.String(), "/30 ") {
		t.Errorf("addresses %q; %s", stdout, stderr)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	// The link goes with the namespace, which the kernel removes when it gets to it.
	vanished(t, cmd)
}

// TestRunTwice has two runs in one system, the first of which waits until the second has ended.
func TestRunTwice(t *testing.T) {
	host := labtest.Host(t)
	first, _, firstErr := running(t, nil, "wait")
	first.Stdout = nil
	stdout, err := first.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, host.Do(first.Start))
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = first.Wait()
		t.Fatalf("%q, %v, %s", line, err, firstErr)
	}
	second, _, secondErr := running(t, nil, "exit", "7")
	labtest.Must(t, host.Do(second.Start))
	_ = second.Wait()
	if code := second.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, want 7; %s", code, secondErr)
	}
	labtest.Must(t, first.Process.Signal(unix.SIGTERM))
	_ = first.Wait()
	if code := first.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want 9; %s", code, firstErr)
	}
}

func TestRunUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"run"}, "a command is missing"},
		{[]string{"run", "--in", "udp dport x", "--", "true"}, `at "x"`},
		{[]string{"run", "--in", "out udp", "--", "true"}, `leave out the hook "out"`},
		{[]string{"run", "-w", "-", "--", "true"}, "record in a file"},
		{[]string{"run", "--impair", "los 5%", "--", "true"},
			`--impair "los 5%": at "los" (column 1): no such setting; did you mean "loss"?`},
		{[]string{"run", "--impair", "loss 5%", "--out", "udp dport x", "--", "true"}, `at "x"`},
		{[]string{"run", "--impair", "loss 5%", "--out", "udp queue 7", "--", "true"},
			"leave the queue out"},
		{[]string{"run", "--impair", "loss 5%", "--verdict", "accept", "--", "true"},
			"leave out --verdict"},
		{[]string{"run", "--back", "loss 5%", "--out", "udp", "--", "true"}, "--back needs --in"},
		{[]string{"run", "--schedule", "/nonexistent", "--", "true"}, "no such file"},
		{[]string{"run", "--seed", "1", "--", "true"}, "for use with --impair"},
		{[]string{"run", "-q", "--", "true"}, "for use with --impair"},
		{[]string{"run", "-q", "-v", "--impair", "loss 5%", "--", "true"},
			"leave out --print, -v and -x"},
	} {
		cmd := command(test.args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: exit code %d, %q; want %q", test.args, code, &stderr, test.says)
		}
	}
}
