// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng/pcapngtest"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// TestTcpdumpFlags types what people type for tcpdump.
func TestTcpdumpFlags(t *testing.T) {
	host := labtest.Host(t)
	f := loopback(t, host, 4000)
	d := dumpIn(t, host, "-nnlUp", "-tttt", "-q", "-A", "-c", "2", "any", "udp", "port", "4000")
	f.send("both ways")
	f.want("both ways")
	stdout, _ := d.end(exitOK)
	want := regexp.MustCompile(
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} lo output IP 127\.0\.0\.1:\d+ > 127\.0\.0\.1:4000: UDP, length 9
E(?s:.*)both ways
\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} lo input IP 127\.0\.0\.1:\d+ > 127\.0\.0\.1:4000: UDP, length 9
E(?s:.*)both ways
$`,
	)
	if !want.MatchString(stdout) {
		t.Errorf("%s", stdout)
	}
}

// TestReadFile: dump -r is replay, with filter and count.
func TestReadFile(t *testing.T) {
	host := labtest.Host(t)
	for args, lines := range map[string]int{
		"dump -t -r %s":                          35,
		"dump -r %s -c 3":                        3,
		"dump -r %s -f udp -c 5":                 5,
		"replay -c 3 %s":                         3,
		"replay --filter 'tcp[13]&2 != 0' %s -v": 2,
	} {
		code, stdout, stderr := said(t, host,
			command(fields(strings.ReplaceAll(args, "%s", captureFile("dns")))...))
		if n := strings.Count(stdout, " forward IP"); code != exitOK || n != lines ||
			stderr != "" ||
			!strings.Contains(stdout, "packets: ") {
			t.Errorf("%s: exit code %d, %d packets, want %d: %q\n%s", args, code, n, lines, stderr, stdout)
		}
	}
}

// TestRotation: a recording goes on in other files, each of which opens, without losing a packet
// between them.
func TestRotation(t *testing.T) {
	host := labtest.Host(t)
	f := loopback(t, host, 4000)
	dir := t.TempDir()
	const packets, size = 2500, 900
	d := dumpIn(t, host, "-w", filepath.Join(dir, "x.pcapng"), "-C", "1", "-c", "2500", "out", "udp",
		"dport", "4000")
	text := strings.Repeat("x", size)
	for range packets {
		f.send(text)
		f.want(text)
	}
	d.end(exitOK)
	total := 0
	for _, name := range []string{"x.pcapng", "x.pcapng1", "x.pcapng2"} {
		n := len(pcapngtest.Tshark(t, filepath.Join(dir, name), "frame.number"))
		if n < 300 {
			t.Errorf("%s has %d packets", name, n)
		}
		total += n
	}
	files, err := os.ReadDir(dir)
	labtest.Must(t, err)
	if total != packets || len(files) != 3 {
		t.Errorf("%d packets in %d files", total, len(files))
	}
}

// TestStatHabits types what people type for ss.
func TestStatHabits(t *testing.T) {
	host := hostWithQueue(t)
	code, stdout, _ := said(t, host, command("stat", "-anp", "--sample", "0s"))
	if code != exitOK || !strings.Contains(stdout, "PROCESS") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	if code, stdout, _ = said(t, host, command("stat", "-j", "--sample", "0s")); code != exitOK ||
		!strings.HasPrefix(stdout, `{"time":`) {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// TestNetemHabits types what people type for tc.
func TestNetemHabits(t *testing.T) {
	r := startImpair(t, "delay", "20ms", "5ms", "loss", "random", "100%", "--duration", "100ms",
		"--interval", "0", "out", "udp", "dport", "4000")
	r.send(t, "lost")
	if out := r.end(t, exitOK); !strings.Contains(out, "    1") {
		t.Errorf("%s", out)
	}
}
