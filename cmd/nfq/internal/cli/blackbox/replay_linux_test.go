// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

func captureFile(name string) string {
	return filepath.Join("..", "..", "..", "..", "..", "testdata", "captures", name+".pcapng")
}

// replay runs nfq replay and returns what it says.
func replay(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	return replayWith(t, nil, code, args...)
}

func replayWith(t *testing.T, stdin []byte, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := command(append([]string{"replay"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%q: exit code %d, want %d: %s", args, got, code, &errs)
	}
	return out.String(), errs.String()
}

func TestReplayText(t *testing.T) {
	out, _ := replay(t, exitOK, captureFile("icmp-errors"), "--rule",
		"forward icmpv6 type packet-too-big", "--verdict", "drop")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if want := " client0>eth1 forward IP 192.0.2.1:"; !strings.Contains(lines[0], want) ||
		!strings.Contains(lines[0], " > 198.51.100.1:9: UDP, length ") ||
		!strings.HasSuffix(lines[0], " [not queued]") {
		t.Errorf("%q, want %q", lines[0], want)
	}
	dropped := 0
	for _, l := range lines {
		if strings.HasSuffix(l, " [drop]") {
			if dropped++; !strings.Contains(l, "ICMP6 PacketTooBig") {
				t.Errorf("dropped %q", l)
			}
		}
	}
	want := fmt.Sprintf(
		"%d packets: 1 queued (0 accepted, 1 dropped), %d not matched by the rule, 0 not IP; the handler took ",
		len(lines)-1,
		len(lines)-2,
	)
	if last := lines[len(lines)-1]; dropped != 1 || !strings.HasPrefix(last, want) {
		t.Errorf("%q, want %q, %d dropped", last, want, dropped)
	}
}

// TestReplayOntoItself: the file that is read, also by another name, is not written to.
func TestReplayOntoItself(t *testing.T) {
	capture, err := os.ReadFile(captureFile("dns"))
	if err != nil {
		t.Fatal(err)
	}
	name, link := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(name, capture, 0o600), os.Symlink(name, link)); err != nil {
		t.Fatal(err)
	}
	if _, stderr := replay(t, exitUsage, "-w", link, name); !strings.Contains(stderr, "another name") {
		t.Errorf("said %q", stderr)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, capture) {
		t.Errorf("%d bytes are left of %d, %v", len(got), len(capture), err)
	}
}

// replayLine is what a line of JSON has for a packet that is replayed.
type replayLine struct {
	Number   int
	Time     time.Time
	Queue    *int
	Verdict  string
	SetMark  uint32 `json:"set_mark"`
	Took     int64  `json:"took_ns"`
	Protocol string
	Src      string
	Length   int
}

// The JSON of all packets fits the summary, and the packets written fit both.
func TestReplayJSON(t *testing.T) {
	written := filepath.Join(t.TempDir(), "out.pcapng")
	out, _ := replay(t, exitOK, captureFile("dns"), "--json", "--rule", "forward tcp port 53",
		"--mark", "0x10", "-w", written)
	var lines []replayLine
	var last struct {
		Summary *struct {
			Packets, Queued, Accepted int
			NotMatched                int   `json:"not_matched"`
			TookNS                    int64 `json:"took_ns"`
			LongestNS                 int64 `json:"longest_ns"`
		}
	}
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(raw), `{"summary"`) {
			if err := json.Unmarshal(raw, &last); err != nil {
				t.Error(err)
			}
			continue
		}
		var l replayLine
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Error(err)
		}
		lines = append(lines, l)
	}
	if last.Summary == nil || last.Summary.Packets != len(lines) ||
		last.Summary.Accepted != last.Summary.Queued || last.Summary.Queued == 0 ||
		last.Summary.NotMatched == 0 ||
		last.Summary.TookNS < last.Summary.LongestNS ||
		last.Summary.LongestNS <= 0 {
		t.Fatalf("%+v", last.Summary)
	}
	queued := 0
	for i, l := range lines {
		tcp := l.Protocol == "tcp"
		if l.Number != i+1 || (l.Queue != nil) != tcp || (l.SetMark == 0x10) != tcp ||
			(l.Verdict == "accept") != tcp || (l.Took > 0) != tcp ||
			l.Time.IsZero() ||
			l.Length == 0 ||
			l.Src == "" {
			t.Errorf("%+v", l)
		}
		if l.Queue != nil {
			queued++
		}
	}
	if queued != last.Summary.Queued {
		t.Errorf("%d lines say queued, the summary says %d", queued, last.Summary.Queued)
	}
	file, err := os.Open(written)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for r, err := range nfqueuetest.Replay(file, nfqueue.Config{},
		nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop }),
		nfqueuetest.Spec{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !r.Spec.Time.Equal(lines[n].Time) || len(r.Spec.Payload) != lines[n].Length {
			t.Errorf("%d bytes at %v written, want %+v", len(r.Spec.Payload), r.Spec.Time, lines[n])
		}
		n++
	}
	if n != len(lines) {
		t.Errorf("%d packets written of %d", n, len(lines))
	}
}

// What is dropped is not written. The capture may come from the standard input.
func TestReplayDropped(t *testing.T) {
	file, err := os.ReadFile(captureFile("vlan"))
	if err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(t.TempDir(), "out.pcapng")
	replayWith(t, file, exitOK, "-", "--rule", "forward ip udp dport 53", "--verdict", "drop",
		"--write", written)
	out, _ := replay(t, exitOK, written)
	if !strings.Contains(out, "\n3 packets: 3 queued (3 accepted, 0 dropped)") {
		t.Error(out)
	}
	out, _ = replay(t, exitOK, captureFile("vlan"), "--rule",
		"forward bridge priority -200 udp sport 53", "--verdict", "drop")
	if !strings.Contains(out, "\n4 packets: 2 queued (0 accepted, 2 dropped), 2 not matched") {
		t.Error(out)
	}
}

func TestReplayRefuses(t *testing.T) {
	good := captureFile("ssh")
	cut, text := filepath.Join(t.TempDir(), "cut.pcapng"), filepath.Join(t.TempDir(), "text")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, b[:len(b)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("no capture, but more bytes than the header of one has\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "say which FILE", nil},
		{exitUsage, `--verdict "queue": use accept or drop`, []string{good, "--verdict", "queue"}},
		{exitUsage, "--rule: ", []string{good, "--rule", "udp"}},
		{exitUsage, "leave ct out", []string{good, "--rule", "forward ct new"}},
		{exitUsage, "leave ctmark", []string{good, "--rule", "forward packets 5"}},
		{exitUsage, "leave uid", []string{good, "--rule", "out uid 5"}},
		{exitUsage, `--mark "": want a number of 32 bits`, []string{good, "--mark", ""}},
		{exitUsage, "--mark has no effect", []string{good, "--mark", "1", "--verdict", "drop"}},
		{exitFailed, "no such file", []string{"/nowhere"}},
		{exitFailed, "no such file", []string{good, "-w", "/nowhere/out"}},
		{exitFailed, "neither pcap nor pcapng", []string{text}},
		{exitFailed, "the file is cut", []string{cut}},
	} {
		if _, stderr := replay(t, c.code, c.args...); !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %q, want %q", c.args, stderr, c.want)
		}
	}
}
