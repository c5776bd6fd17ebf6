// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"golang.org/x/sys/unix"
)

// runHost starts nfq run with a command that waits for a signal, and returns the namespace of the
// command.
func runHost(t *testing.T, flags ...string) (cmd *exec.Cmd, inside *netlab.Host, said *bytes.Buffer) {
	t.Helper()
	host := labtest.Host(t)
	cmd, _, said = running(t, flags, "wait", "pid")
	cmd.Stdout = nil
	stdout, err := cmd.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, host.Do(cmd.Start))
	t.Cleanup(func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		needAvailable(t, cmd, said)
		t.Fatalf("%v\n%s", err, said)
	}
	ns, err := os.Open("/proc/" + strings.TrimSpace(line) + "/ns/net")
	labtest.Must(t, err)
	defer func() { _ = ns.Close() }()
	labtest.Must(t, netns.DoFD(int(ns.Fd()), func() (err error) {
		inside, err = netlab.Current()
		return err
	}))
	t.Cleanup(func() { _ = inside.Close() })
	return cmd, inside, said
}

// TestRunSparesNeighbours: packets that wait in the queue of a program in the namespace of the
// command arrive when nfq run ends.
func TestRunSparesNeighbours(t *testing.T) {
	for _, flags := range [][]string{
		{"--out", "udp dport 1"},
		{"-q", "--impair", "delay 1ms", "--out", "udp dport 1"},
	} {
		t.Run(flags[0], func(t *testing.T) {
			cmd, inside, said := runHost(t, flags...)
			n := newNeighbour(t, inside)
			n.fill()
			labtest.Must(t, cmd.Process.Signal(unix.SIGTERM)) // for the command
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			awaitRules(t, inside, ended, said, func(n int) bool { return n == 1 })
			n.release()
			var exit *exec.ExitError
			if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != 9 {
				t.Errorf("%v, want exit code 9\n%s", err, said)
			}
			if tables := tablesIn(t, inside); len(tables) != 1 {
				t.Errorf("tables %v, want that of the neighbour alone", tables)
			}
		})
	}
}

// TestRunPassesWhileStopped: Ctrl-Z stops nfq and the command. Packets of others in the namespace
// pass, and are judged again when both go on.
func TestRunPassesWhileStopped(t *testing.T) {
	cmd, inside, said := runHost(t, "--verdict", "drop", "--out", "udp dport 4000")
	f := loopback(t, inside, 4000)
	f.send("dropped before")
	r := &soakRound{cmd: cmd}
	for range 2 {
		r.signal(unix.SIGTSTP)
		if !r.awaitState(10*time.Second, "T") {
			t.Fatal("nfq does not stop")
		}
		f.send("passes")
		f.want("passes")
		r.signal(unix.SIGCONT)
		for passes := true; passes; {
			f.send("until it is dropped")
			labtest.Must(t, f.to.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			_, err := f.to.Read(make([]byte, 100))
			passes = err == nil
		}
		labtest.Must(t, f.to.SetReadDeadline(time.Now().Add(time.Minute)))
	}
	labtest.Must(t, cmd.Process.Signal(unix.SIGTERM))
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want 9\n%s", code, said)
	}
	f.send("afterwards")
	f.want("afterwards")
}
