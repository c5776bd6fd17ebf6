// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/spf13/cobra"
)

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		out, err := command("completion", shell).Output()
		if err != nil || !strings.Contains(string(out), "__complete") {
			t.Errorf("%s: %v, %q", shell, err, out)
		}
		if path, err := exec.LookPath(shell); err == nil {
			check := exec.Command(path, "-n")
			check.Stdin = strings.NewReader(string(out))
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s does not take its script: %v\n%s", shell, err, out)
			}
		}
	}
}

// complete returns what a shell is offered, and whether it may offer files too.
func complete(t *testing.T, cmd *exec.Cmd) (offers string, files bool) {
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	offers, directive, _ := strings.Cut(string(out), ":")
	return offers, directive == "0\n"
}

func TestCompletion(t *testing.T) {
	for _, test := range []struct {
		args   []string
		offer  string
		filter bool
	}{
		{[]string{""}, "probe\tCheck kernel", false},
		{[]string{"stat", "--"}, "--all\t", false},
		{[]string{"stat", "--listen", ""}, "", false},
		{[]string{"bench", "--workload", ""}, "drain", false},
		{[]string{"bench", "--json", ""}, "", true},
		{[]string{"probe", ""}, "", false},
		{[]string{"dump", ""}, "forward\n", false},
		{[]string{"dump", "out", ""}, "dport\n", false},
		{[]string{"impair", "out", "udp", "or", "o"}, "out\n", false},
		{[]string{"dump", "out", "udp", "n"}, "not\n", false},
		{[]string{"dump", "out", "udp", "not", "dp"}, "dport\n", false},
		{[]string{"impair", "in", "iif", ""}, "lo\n", false},
		{[]string{"dump", "in", "dport", ""}, "", false},
		{[]string{"dump", "--verdict", ""}, "repeat\n", false},
		{[]string{"dump", "--netns", ""}, "", true},
		{[]string{"dump", "-w", ""}, "", true},
		{[]string{"impair", "--distribution", ""}, "paretonormal\n", false},
		{[]string{"run", "--schedule", ""}, "", true},
		{[]string{"demo", ""}, "", false},
	} {
		offers, files := complete(t,
			command(append([]string{cobra.ShellCompRequestCmd}, test.args...)...))
		if !strings.Contains(offers, test.offer) || files != test.filter {
			t.Errorf("%q: offers %q, files %t; want %q, %t", test.args, offers, files, test.offer,
				test.filter)
		}
	}
}

func TestCompletionOfQueues(t *testing.T) {
	h := hostWithQueue(t)
	var out strings.Builder
	cmd := command(cobra.ShellCompRequestCmd, "stat", "")
	cmd.Stdout = &out
	labtest.Must(t, h.Do(cmd.Start))
	labtest.Must(t, cmd.Wait())
	if !strings.HasPrefix(out.String(), "7\tbound by port id ") {
		t.Errorf("offers %q", out.String())
	}
}
