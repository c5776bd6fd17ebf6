// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/bench/figure"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("measuring takes long")
	}
	labtest.Need(t)
	dir := t.TempDir()
	file, charts := filepath.Join(dir, "results.json"), filepath.Join(dir, "charts")
	cmd := command("bench", "--short", "--workload", "drain", "--json", file, "--svg", charts)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "\n== drain: ") {
		t.Errorf("output without a table:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(charts, "drain.svg")); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results figure.Results
	if err := json.Unmarshal(b, &results); err != nil || len(results.Tables) == 0 {
		t.Fatalf("%v, %d tables", err, len(results.Tables))
	}
	for _, table := range results.Tables {
		if len(table.Rows) == 0 || table.Rows[0].Consumer != "nfqueue-go" ||
			table.Rows[0].Spreads[0].Median <= 0 {
			t.Errorf("%s: %v", table.Situation, table.Rows)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{{"--workload", "nonsense"}, {"--rounds", "0"}, {"surplus"}} {
		cmd := command(append([]string{"bench"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), "See 'nfq bench --help'.") {
			t.Errorf("%v: exit code %d, %s", args, code, &stderr)
		}
	}
}

func TestBenchWithoutCompiler(t *testing.T) {
	labtest.Need(t)
	cmd := command("bench", "--build-peers")
	cmd.Env = append(cmd.Env, "PATH=", "CC=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed ||
		!strings.Contains(stderr.String(), "libnetfilter-queue-dev") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

// An interrupt ends the measurement, and shows what there is already.
func TestBenchInterrupted(t *testing.T) {
	labtest.Need(t)
	cmd := command("bench", "--workload", "drain", "--rounds", "1000")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	progress := bufio.NewReader(stderr)
	if line, err := progress.ReadString('\n'); err != nil || !strings.HasPrefix(line, "drain, ") {
		t.Errorf("progress %q, %v", line, err)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(progress)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted ||
		!strings.HasPrefix(stdout.String(), "Linux ") {
		t.Errorf("exit code %d, stdout %q, stderr %s", code, &stdout, rest)
	}
}
