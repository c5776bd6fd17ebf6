// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// impairRun is a run of nfq impair in a host, next to which datagrams are sent to a socket.
type impairRun struct {
	host   *netlab.Host
	cmd    *exec.Cmd
	lines  *bufio.Reader // of stdout
	stderr bytes.Buffer
	socket *net.UDPConn
}

// impairLimit bounds every wait for something that must come.
const impairLimit = 20 * time.Second

// startImpair starts nfq impair for UDP port 4000 on loopback, and waits until it works.
func startImpair(t *testing.T, args ...string) *impairRun {
	t.Helper()
	r := &impairRun{host: labtest.Host(t)}
	var err error
	r.socket, err = netlab.In(r.host, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000})
	})
	labtest.Must(t, err)
	t.Cleanup(func() { _ = r.socket.Close() })
	labtest.Must(t, r.socket.SetDeadline(time.Now().Add(impairLimit)))
	r.cmd = command(
		append(
			[]string{"impair", "--netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.host.FD())},
			args...)...)
	r.cmd.Stderr = &r.stderr
	stdout, err := r.cmd.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	r.lines = bufio.NewReader(stdout)
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			_ = r.cmd.Wait()
			t.Fatalf("it has not begun: %v, stderr %q", err, &r.stderr)
		}
		if strings.Contains(line, "seed") {
			return r
		}
	}
}

func (r *impairRun) send(t *testing.T, data string) {
	t.Helper()
	if _, err := r.socket.WriteTo([]byte(data), r.socket.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

func (r *impairRun) wantReceived(t *testing.T, want string) {
	t.Helper()
	b := make([]byte, 100)
	n, err := r.socket.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Errorf("received %q, %v, want %q", b[:n], err, want)
	}
}

// end waits for the run to end and returns what it still showed.
func (r *impairRun) end(t *testing.T, code int) string {
	t.Helper()
	rest, err := io.ReadAll(r.lines)
	labtest.Must(t, err)
	_ = r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; stderr %q", got, code, &r.stderr)
	}
	if code < 0 {
		wantTablesOfKilled(t, r.host)
	} else {
		wantNoTables(t, r.host)
	}
	return string(rest)
}

// TestImpairInterrupted: what waits goes on, then there is the summary.
func TestImpairInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		r := startImpair(t, "--delay", "1h", "--interval", "10ms", "--both", "out", "udp", "dport",
			"4000")
		r.send(t, "held")
		for {
			line, err := r.lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, "1 waiting") {
				break
			}
		}
		labtest.Must(t, r.cmd.Process.Signal(signal))
		r.wantReceived(t, "held")
		out := r.end(t, exitOK)
		if _, table, ok := strings.Cut(out, "packets/s"); !ok ||
			!slices.Equal(strings.Fields(table)[:5], []string{"bit/s", "there", "1", "32", "1"}) {
			t.Errorf("summary:\n%s", out)
		}
		r.send(t, "afterwards")
		r.wantReceived(t, "afterwards")
	}
}

// TestImpairSignalledTwice signals as timeout(1) does: what waits goes on.
func TestImpairSignalledTwice(t *testing.T) {
	r := startImpair(t, "--delay", "1h", "--interval", "10ms", "out", "udp", "dport", "4000")
	r.send(t, "held")
	for line := ""; !strings.Contains(line, "1 waiting"); {
		var err error
		line, err = r.lines.ReadString('\n')
		labtest.Must(t, err)
	}
	for range 5 {
		labtest.Must(t, r.cmd.Process.Signal(unix.SIGINT))
		time.Sleep(time.Millisecond) // signals that are pending together are one
	}
	r.wantReceived(t, "held")
	if out := r.end(t, exitOK); !strings.Contains(out, "packets/s") {
		t.Errorf("no summary:\n%s", out)
	}
}

// TestImpairKilled: traffic flows on.
func TestImpairKilled(t *testing.T) {
	r := startImpair(t, "--loss", "100%", "out", "udp", "dport", "4000")
	r.send(t, "lost")
	labtest.Must(t, r.cmd.Process.Kill())
	r.end(t, -1)
	r.send(t, "afterwards")
	r.wantReceived(t, "afterwards")
}

func TestImpairJSON(t *testing.T) {
	r := startImpair(t, "--json", "--duration", "200ms", "--interval", "0", "--seed", "7", "--delay",
		"1ms", "out", "udp", "dport", "4000", "or", "out", "tcp")
	r.send(t, "delayed")
	r.wantReceived(t, "delayed")
	var line struct {
		Event   string
		Seconds float64
		Ways    []struct {
			Way, Settings   string
			Packets, Passed uint64
			Late            map[string]int64
		}
	}
	out := r.end(t, exitOK)
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Event != "end" ||
		line.Seconds < 0.2 ||
		len(line.Ways) != 1 {
		t.Fatalf("%v in %q", err, out)
	}
	if w := line.Ways[0]; w.Way != "there" || w.Settings != "delay 1ms" || w.Packets != 1 ||
		w.Passed != 1 ||
		w.Late["max_ns"] <= 0 {
		t.Errorf("%+v", w)
	}
}

func TestImpairSchedule(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schedule")
	labtest.Must(t, os.WriteFile(file, []byte("0s loss 100%\n200ms nothing\n"), 0o600))
	r := startImpair(t, "--schedule", file, "--interval", "20ms", "out", "udp", "dport", "4000")
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "there  now nothing") {
			break
		}
	}
	r.send(t, "passes")
	r.wantReceived(t, "passes")
	labtest.Must(t, r.cmd.Process.Signal(unix.SIGINT))
	r.end(t, exitOK)
}

func TestImpairUsage(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong")
	labtest.Must(t, os.WriteFile(wrong, []byte("0s loss 5%\n1s los 5%\n"), 0o600))
	for _, test := range []struct{ args, want string }{
		{"out udp", "nothing to do; give settings such as --delay"},
		{"--loss 5%", "a rule is missing"},
		{"--loss 5% out udq", `at "udq" (column 5): no such word; did you mean "udp"?`},
		{"dely 5ms out udp", `"dely" is neither a setting nor a word of a rule; did you mean "delay"`},
		{"delay 5ms jiter 1ms out udp", `did you mean "jitter"?`},
		{"out udp dely 5ms", `did you mean "delay"?`},
		{"out udp delay 5ms", `"delay" is a setting, and settings stand before the rule`},
		{"delay 5ms out udp ct loss", "expected connection tracking states"},
		{"--dely 5ms out udp", `unknown flag: --dely; did you mean --delay?`},
		{"--loss 5% out udp or", "one of them is missing"},
		{"--loss 5% out -j udp", "a rule has words without dashes"},
		{"--loss 5 % out udp", `"%" is no part of a rule`},
		{"--loss x out udp", `invalid argument "x" for "--loss" flag: expected a percentage`},
		{"--rate 10mbps out udp", "expected bits per second"},
		{"--burst 3 out udp", "burst needs a loss"},
		{"--loss 5% --both forward udp", "matches both directions already"},
		{"--loss 5% --both --back loss out udp", "exclude each other"},
		{"--back los out udp", `--back "los": at "los" (column 1): no such setting; did you mean "loss"`},
		{"--loss 5% out udp queue 1-4", "a rule for several queues"},
		{"--loss 5% --both out udp queue 65535", "65535 is the last; name a lower one"},
		{"--loss 5% out udp queue 1 or out tcp", "leave the queue out"},
		{"--loss 5% --duration -1s out udp", "must not be negative"},
		{"--loss 5% --seed ten out udp", `--seed "ten": want a whole number, 0 or more`},
		{"--loss 5% --duration 10 out udp", `--duration "10": want a time such as 500ms, 10s or 1m30s`},
		{"--schedule /nonexistent out udp", "no such file"},
		{"--schedule " + wrong + " out udp", wrong + `:2: at "los" (column 4): no such setting`},
	} {
		cmd := command(append([]string{"impair"}, strings.Fields(test.args)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), test.want) ||
			!strings.Contains(stderr.String(), "See 'nfq impair --help'.") {
			t.Errorf("%s: exit code %d, %s", test.args, code, &stderr)
		}
	}
	cmd := command("impair", "--netns", "nonexistent", "--loss", "5%", "out", "udp")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
		!strings.Contains(string(out), `no network namespace "nonexistent"`) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
