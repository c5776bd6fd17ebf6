// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/stat"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// hostWithQueue returns a host in which queue 7 is bound.
func hostWithQueue(t *testing.T) *netlab.Host {
	h := labtest.Host(t)
	q, err := nfqueue.Open(nfqueue.Config{Queue: 7, NetNS: h.FD()})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, q.Close()) })
	return h
}

func TestStatOnce(t *testing.T) {
	h := hostWithQueue(t)
	ns := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.FD())
	out, err := command("stat", "--netns", ns, "--sample", "10ms").Output()
	labtest.Must(t, err)
	lines := strings.Split(string(out), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "QUEUE  PROCESS") ||
		!strings.HasPrefix(lines[1], "    7  ") ||
		strings.Contains(lines[1], " - ") {
		t.Errorf("table:\n%s", out)
	}
	other := command("stat", "--netns", ns, "--sample", "1h", "0-6", "8") // at once
	if out, _ = other.CombinedOutput(); string(
		out,
	) != "nfq: none of the queues 0-6 is bound; queue 8 is not bound\n" ||
		other.ProcessState.ExitCode() != exitFailed {
		t.Errorf("other queues: %q, %v", out, other.ProcessState)
	}
	out, err = command("stat", "--netns", ns, "--sample", "0s", "--json").Output()
	labtest.Must(t, err)
	var s stat.Snapshot
	labtest.Must(t, json.Unmarshal(out, &s))
	if len(s.Queues) != 1 || s.Queues[0].Queue != 7 || len(s.Queues[0].Owners) != 1 ||
		s.Queues[0].Owners[0].PID != os.Getpid() ||
		s.Queues[0].Rates != nil {
		t.Errorf("%+v", s)
	}
}

// start runs a command in the host, and returns the lines of one of its streams.
func start(
	t *testing.T,
	h *netlab.Host,
	cmd *exec.Cmd,
	pipe func() (io.ReadCloser, error),
) *bufio.Reader {
	stream, err := pipe()
	labtest.Must(t, err)
	labtest.Must(t, h.Do(cmd.Start))
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewReader(stream)
}

func TestStatWatch(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		cmd := command("stat", "--watch=10ms", "--json")
		lines := start(t, hostWithQueue(t), cmd, cmd.StdoutPipe)
		for i := range 3 {
			line, err := lines.ReadBytes('\n')
			labtest.Must(t, err)
			var s stat.Snapshot
			labtest.Must(t, json.Unmarshal(line, &s))
			if len(s.Queues) != 1 || (s.Queues[0].Rates != nil) != (i > 0) {
				t.Errorf("%d: %s", i, line)
			}
		}
		labtest.Must(t, cmd.Process.Signal(signal))
		_, err := io.Copy(io.Discard, lines)
		labtest.Must(t, err)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", signal, err)
		}
	}
}

func TestStatListen(t *testing.T) {
	h := hostWithQueue(t)
	cmd := command("stat", "--listen", ":0")
	lines := start(t, h, cmd, cmd.StderrPipe)
	line, err := lines.ReadString('\n')
	labtest.Must(t, err)
	_, url, _ := strings.Cut(strings.TrimSpace(line), " at ")
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("listens on %q, want loopback", line)
	}
	transport := &http.Transport{
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return netlab.In(h, func() (net.Conn, error) { return net.Dial(network, address) })
		},
	}
	response, err := (&http.Client{Transport: transport}).Get(url)
	labtest.Must(t, err)
	body, err := io.ReadAll(response.Body)
	labtest.Must(t, err)
	labtest.Must(t, response.Body.Close())
	transport.CloseIdleConnections()
	if want := "\nnfqueue_backlog_packets{queue=\"7\"} 0\n"; !bytes.Contains(body, []byte(want)) {
		t.Errorf("no %q in %s", want, body)
	}
	labtest.Must(t, cmd.Process.Signal(unix.SIGTERM))
	rest, err := io.ReadAll(lines)
	labtest.Must(t, err)
	if err := cmd.Wait(); err != nil || len(rest) > 0 {
		t.Errorf("%v, stderr %q", err, rest)
	}
}

func TestStatUsage(t *testing.T) {
	for _, test := range []struct{ args, stderr string }{
		{"--watch 5s", "an interval is written --watch=5s"},
		{"--watch=1us", "at least 10ms"},
		{"--sample -1s", "must not be negative"},
		{"65536", "a number from 0 to 65535"},
		{"3-1", "a number from 0 to 65535"},
		{"--listen 9099", "give :PORT for loopback"},
		{"--listen :9099 --json", "--listen and --json cannot be given together"},
	} {
		cmd := command(append([]string{"stat"}, strings.Fields(test.args)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), test.stderr) {
			t.Errorf("%s: exit code %d, %s", test.args, code, &stderr)
		}
	}
}

func TestStatUnreadable(t *testing.T) {
	labtest.Need(t)
	for args, want := range map[string]string{
		"--netns no-such-namespace": "ip netns list",
		"--netns /proc/self/ns/uts": "not a network namespace",
	} {
		cmd := command(append([]string{"stat"}, strings.Fields(args)...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(string(out), want) {
			t.Errorf("%s: exit code %d, %s", args, code, out)
		}
	}
	t.Run("unprivileged", func(t *testing.T) {
		cmd := command("stat")
		unprivileged(t, cmd)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUnavailable ||
			!strings.Contains(string(out), "run with sudo") {
			t.Errorf("exit code %d, %s", code, out)
		}
	})
}
