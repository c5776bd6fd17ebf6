// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// programEnv makes a test binary run the program that it tests.
const programEnv = "LABTEST_PROGRAM"

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// IsProgram reports whether Start has started this process. TestMain must then call main and
// return.
func IsProgram() bool { return os.Getenv(programEnv) != "" }

// Program is a program that runs in a host.
type Program struct {
	cmd    *exec.Cmd
	output bytes.Buffer // to be read when it has ended
	ended  chan error
}

// Start runs the program whose package is tested in a host, and returns when it has bound its
// queues. See IsProgram.
func Start(tb testing.TB, h *netlab.Host, queues int, args ...string) *Program {
	tb.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	// The race detector otherwise delays every exit by a second.
	cmd.Env = append(os.Environ(), programEnv+"=1", "GORACE=atexit_sleep_ms=0")
	return Run(tb, h, queues, cmd)
}

// Run is Start for any program. It kills the program when the test ends.
func Run(tb testing.TB, h *netlab.Host, queues int, cmd *exec.Cmd) *Program {
	tb.Helper()
	p := &Program{cmd: cmd, ended: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	Must(tb, h.Do(cmd.Start))
	gone := make(chan struct{})
	go func() { p.ended <- cmd.Wait(); close(gone) }()
	tb.Cleanup(func() { cmd.Process.Kill(); <-gone })
	for end := time.Now().Add(patience); time.Now().Before(end); {
		table, err := netlab.In(h, func() ([]byte, error) {
			return os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
		})
		Must(tb, err)
		if bytes.Count(table, []byte("\n")) >= queues {
			return p
		}
		select {
		case err := <-p.ended:
			tb.Fatalf("the program has ended: %v\n%s", err, &p.output)
		case <-time.After(5 * time.Millisecond):
		}
	}
	tb.Fatal("the program has not bound its queues")
	return nil
}

// PID returns the id of the process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Interrupt ends the program with SIGINT, as a terminal does. It must exit with 0. Interrupt
// returns what it has printed, which must contain the texts.
func (p *Program) Interrupt(tb testing.TB, texts ...string) string {
	tb.Helper()
	return p.end(tb, unix.SIGINT, texts)
}

// Terminate is Interrupt with SIGTERM, as systemd and containers end programs.
func (p *Program) Terminate(tb testing.TB, texts ...string) string {
	tb.Helper()
	return p.end(tb, unix.SIGTERM, texts)
}

func (p *Program) end(tb testing.TB, signal os.Signal, texts []string) string {
	tb.Helper()
	Must(tb, p.cmd.Process.Signal(signal))
	select {
	case err := <-p.ended:
		if err != nil {
			tb.Errorf("the program ends with %v", err)
		}
	case <-time.After(patience):
		tb.Fatal("the program does not end")
	}
	said := p.output.String()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			tb.Errorf("no %q in\n%s", text, said)
		}
	}
	return said
}
