// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng/pcapngtest"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// said runs nfq in a host and returns its exit code and what it says.
func said(t *testing.T, host *netlab.Host, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	labtest.Must(t, host.Do(cmd.Start))
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestMicroseconds: only a locale with UTF-8 has the micro sign.
func TestMicroseconds(t *testing.T) {
	host := labtest.Host(t)
	for _, args := range []string{
		"replay -v -c 1 " + captureFile("dns"),
		"impair --duration 1ms --delay 20us out udp",
	} {
		for locale, sign := range map[string]string{"C": "us", "C.UTF-8": "µs"} {
			cmd := command(strings.Fields(args)...)
			cmd.Env = append(cmd.Environ(), "LC_ALL="+locale)
			_, stdout, stderr := said(t, host, cmd)
			if !strings.Contains(stdout, sign) || locale == "C" && strings.Contains(stdout, "µ") {
				t.Errorf("%s with LC_ALL=%s:\n%s%s", args, locale, stdout, stderr)
			}
		}
	}
}

// TestAnswers are command lines and what nfq answers, in a host in which queue 0 is bound.
func TestAnswers(t *testing.T) {
	host := labtest.Host(t)
	q, err := nfqueue.Open(nfqueue.Config{NetNS: host.FD()})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, q.Close()) })
	readOnly := filepath.Join("/proc", "nfq.pcapng") // root, too, may not make files there
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // parts; "" is nothing at all
	}{
		{"stat --sample 0s 0", exitOK, "QUEUE  PROCESS", ""},
		{"stat --sample 0s 5", exitFailed, "", "nfq: queue 5 is not bound\n"},
		{"stat --sample 0s 0 5 10-13", exitFailed, "\n    0  ",
			"nfq: queue 5 is not bound; none of the queues 10-13 is bound\n"},
		{"stat --json --sample 0s 5", exitFailed, `"queues":[]`, "nfq: queue 5 is not bound\n"},
		{"stat --watch 2", exitUsage, "", "nfq: --watch 2: write an interval as --watch=2s, or name the queue first: nfq stat 2 --watch\n"},
		{"stat --netns nope", exitUsage, "", `nfq: --netns: no network namespace "nope"`},
		{"dump --netns nope in", exitUsage, "", `nfq: --netns: no network namespace "nope"`},
		{"probe --netns nope", exitUsage, "", `nfq: --netns: no network namespace "nope"`},
		{"completion tcsh", exitUsage, "", `nfq: no completions for the shell "tcsh"; there are some for bash, zsh, fish and powershell`},
		{"help nonsense", exitUsage, "", `nfq: no help for "nonsense"`},
		{"help stat", exitOK, "Usage:\n  nfq stat", ""},
		{"dump --queue 0-65000", exitUnavailable, "",
			"nfq: 65001 queues need a file descriptor each, and this process may have 4096; "},
		{"dump -w " + readOnly + " in", exitFailed, "", "nfq: open /proc/nfq.pcapng: "},
		{"run --out 'out udp' -- true", exitUsage, "",
			`nfq: --out "out udp": leave out the hook "out": --out says it already`},
		{"impair --truncate 5% --truncate-to 5 out udp", exitUsage, "",
			"nfq: truncate-to is 5; want 20 or more"},
		{"impair --delay 99h out udp", exitUsage, "", "nfq: delay and jitter are at most 1h0m0s"},
		{"impair --delay 5ms 1ms out udp", exitUsage, "",
			`nfq: "1ms" is no part of a rule; settings with several values are written without dashes`},
		{"impair --duplicate 5% out udp", exitUsage, "",
			"nfq: unknown flag: --duplicate; packets cannot be duplicated: "},
		{"impair duplicate 5% out udp", exitUsage, "",
			`nfq: at "duplicate": packets cannot be duplicated: `},
		{"replay go.mod", exitFailed, "", "nfq: open go.mod: no such file or directory\n"},
		{"replay /proc/self/stat", exitFailed, "", "nfq: "},
	} {
		cmd := command(fields(test.args)...)
		if strings.Contains(test.args, "0-65000") {
			cmd = limited(4096, fields(test.args)...)
		}
		code, stdout, stderr := said(t, host, cmd)
		if code != test.code || !strings.Contains(stdout, test.stdout) ||
			test.stdout == "" && stdout != "" ||
			!strings.HasPrefix(stderr, test.stderr) ||
			test.stderr == "" && stderr != "" {
			t.Errorf("%s: exit code %d, want %d; %q; %q", test.args, code, test.code, stdout, stderr)
		}
		for _, name := range []string{"nfqueue:", "nfqueuetest:", "rules:"} {
			if strings.Contains(stderr, name) {
				t.Errorf("%s names a package of Go: %q", test.args, stderr)
			}
		}
	}
}

// sendOne sends a datagram within a host.
func sendOne(t *testing.T, host *netlab.Host) {
	t.Helper()
	c, err := netlab.In(host, func() (net.Conn, error) { return net.Dial("udp4", "127.0.0.1:9") })
	labtest.Must(t, err)
	_, _ = c.Write([]byte("x")) // refused at times, as nobody receives
	labtest.Must(t, c.Close())
}

// fields splits a command line at spaces, except those in quotes.
func fields(line string) (args []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

// limited is command with a limit of descriptors.
func limited(descriptors uint64, args ...string) *exec.Cmd {
	return command(
		append([]string{actArg, "limited", strconv.FormatUint(descriptors, 10)}, args...)...)
}

// TestFullOutput: what cannot be written is said once, with exit code 1.
func TestFullOutput(t *testing.T) {
	host := labtest.Host(t)
	for _, args := range []string{
		"--help", "--version", "stat --help", "help", "help stat", "completion bash", "completion --help",
		"stat --sample 0s", "probe",
		"replay " + captureFile("dns"),
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		labtest.Must(t, err)
		cmd := command(fields(args)...)
		cmd.Stdout = full
		code, _, stderr := said(t, host, cmd)
		if code != exitFailed || stderr != "nfq: write /dev/stdout: no space left on device\n" {
			t.Errorf("%s: exit code %d, %q", args, code, stderr)
		}
		labtest.Must(t, full.Close())
	}
}

// TestReaderGoesAway: then every command ends in the same way, and leaves nothing behind.
func TestReaderGoesAway(t *testing.T) {
	host := labtest.Host(t)
	for _, args := range []string{
		"--help", "completion bash", "stat --watch=10ms", "impair --interval 10ms --loss 5% out udp",
		"demo", "dump out udp",
		"replay " + captureFile("dns"), "stat --json --watch=10ms", "probe",
	} {
		read, write, err := os.Pipe()
		labtest.Must(t, err)
		labtest.Must(t, read.Close())
		cmd := command(fields(args)...)
		cmd.Stdout = write
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		labtest.Must(t, host.Do(cmd.Start))
		labtest.Must(t, write.Close())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for wait := true; wait; {
			sendOne(t, host) // for dump to have something to show
			select {
			case <-ended:
				wait = false
			case <-time.After(20 * time.Millisecond):
			}
		}
		needAvailable(t, cmd, &stderr)
		if code := cmd.ProcessState.ExitCode(); code != exitNoReader ||
			strings.Contains(stderr.String(), "broken pipe") {
			t.Errorf("%s: exit code %d, want %d; %q", args, code, exitNoReader, &stderr)
		}
		wantNoTables(t, host)
	}
}

// TestNoProc has nothing at /proc: no command claims that the kernel lacks something.
func TestNoProc(t *testing.T) {
	host := labtest.Host(t)
	for _, args := range []string{
		"stat", "run true", "probe", "demo", "bench --short", "dump out cgroup /x",
	} {
		cmd := command(append([]string{actArg, "without-proc"}, fields(args)...)...)
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS
		code, stdout, stderr := said(t, host, cmd)
		if strings.Contains(stderr, "mount: ") {
			labtest.Must(t, fmt.Errorf("%s: %w", stderr, errors.ErrUnsupported))
		}
		if code != exitUnavailable || !strings.HasPrefix(stderr, "nfq: ") ||
			!strings.Contains(stderr, "/proc is not mounted, ") || stdout != "" {
			t.Errorf("%s: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// smallFile is the size of a full disk.
const smallFile = 20000

// TestFullDisk: a full disk is said once, and the file has all packets up to then.
func TestFullDisk(t *testing.T) {
	host := labtest.Host(t)
	file := filepath.Join(t.TempDir(), "x.pcapng")
	// A limit on the size of files is to a program as a full disk is.
	cmd := command(append([]string{actArg, "small-files"}, fields("dump out udp -w "+file)...)...)
	stderr := startSaying(t, host, cmd)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for wait := true; wait; {
		sendOne(t, host)
		select {
		case <-ended:
			wait = false
		default:
		}
	}
	text := <-stderr
	if code := cmd.ProcessState.ExitCode(); code != exitFailed ||
		strings.Count(text, "file too large") != 1 {
		t.Errorf("exit code %d, %q", code, text)
	}
	got := pcapngtest.Tshark(t, file, "frame.number", "udp.dstport")
	info, err := os.Stat(file)
	labtest.Must(t, err)
	if len(got) < 90 || info.Size() > smallFile || info.Size() < smallFile-500 {
		t.Errorf("%d packets in %d bytes", len(got), info.Size())
	}
	if want := fmt.Sprintf("packets: %d recorded,", len(got)); !strings.Contains(text, want) {
		t.Errorf("%q says another number than the file has, %d", text, len(got))
	}
}

// startSaying starts a command, and returns what sends all that it has said when it has ended.
func startSaying(t *testing.T, host *netlab.Host, cmd *exec.Cmd) <-chan string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	labtest.Must(t, err)
	cmd.Stderr = file
	labtest.Must(t, host.Do(cmd.Start))
	said := make(chan string, 1)
	t.Cleanup(func() { _ = file.Close() })
	go func() {
		for unix.Kill(cmd.Process.Pid, 0) == nil {
			time.Sleep(time.Millisecond)
		}
		text, _ := os.ReadFile(file.Name())
		said <- string(text)
	}()
	return said
}

// TestStalledReader: a recording whose reader does not read ends at the first signal.
func TestStalledReader(t *testing.T) {
	host := labtest.Host(t)
	read, write, err := os.Pipe()
	labtest.Must(t, err)
	t.Cleanup(func() { _ = read.Close() })
	if _, err = unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	cmd := command("dump", "out", "udp", "-w", "-")
	cmd.Stdout = write
	stderr := startSaying(t, host, cmd)
	labtest.Must(t, write.Close())
	for range 100 {
		sendOne(t, host)
		if n, _ := unix.IoctlGetInt(int(read.Fd()), unix.TIOCINQ); n > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for range 200 { // far more than the pipe holds
		sendOne(t, host)
	}
	labtest.Must(t, cmd.Process.Signal(unix.SIGINT))
	_ = cmd.Wait()
	if text := <-stderr; cmd.ProcessState.ExitCode() != exitFailed ||
		!strings.Contains(text,
			"nfq: the reader of the output does not read; the last packets are not in it\n") {
		t.Errorf("exit code %d, %q", cmd.ProcessState.ExitCode(), text)
	}
	wantNoTables(t, host)
}

// TestRunInterruptedEarly: a signal ends nfq run however soon it comes.
func TestRunInterruptedEarly(t *testing.T) {
	labtest.Need(t)
	for i := range 25 {
		cmd, _, stderr := running(t, nil, "wait")
		labtest.Must(t, cmd.Start())
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		time.Sleep(time.Duration(i) * 4 * time.Millisecond)
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		if !late.Stop() {
			t.Errorf("SIGTERM after %v ms was lost: %q", i*4, stderr)
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() && status.ExitStatus() != exitInterrupted &&
			status.ExitStatus() != 9 &&
			status.ExitStatus() != 128+15 {
			t.Errorf("after %d ms: %v, %q", i*4, cmd.ProcessState, stderr)
		}
	}
}
