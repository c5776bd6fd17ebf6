// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/cli"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// Exit codes, as the help of the root command documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitInterrupted = 130
	exitNoReader    = 141
)

// actEnv makes the test program act as nfq.
const actEnv = "NFQ_TEST_ACT"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == actArg {
		os.Exit(act(os.Args[2:]))
	}
	if os.Getenv(actEnv) != "" {
		os.Exit(cli.Main(os.Args[1:]))
	}
	labtest.Main(m)
}

// command prepares a run of nfq. It leads a process group.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), actEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// unprivileged makes a run of nfq one by nobody.
func unprivileged(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	const nobody = 65534
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil || os.Geteuid() != 0 ||
		len(strings.Fields(string(m))) != 3 ||
		strings.Fields(string(m))[2] == "1" {
		t.Skip("only the initial root can become somebody else; this test is unprivileged already")
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"--help"}, exitOK, "Exit codes:\n", ""},
		{[]string{"--version"}, exitOK, "nfq ", ""},
		{[]string{"demo", "--help"}, exitOK, "Usage:\n  nfq demo", ""},
		{[]string{"nonsense"}, exitUsage, "", "nfq: unknown command \"nonsense\" for \"nfq\"\nSee 'nfq --help'.\n"},
		{[]string{"dmp"}, exitUsage, "", "\"dmp\" for \"nfq\"; did you mean \"demo\" or \"dump\"?\nSee"},
		{[]string{"prob"}, exitUsage, "", "; did you mean \"probe\"?\nSee 'nfq --help'.\n"},
		{[]string{"--nonsense"}, exitUsage, "", "nfq: unknown flag: --nonsense\nSee 'nfq --help'.\n"},
		{[]string{"stat", "--wacth"}, exitUsage, "", "unknown flag: --wacth; did you mean --watch?\n"},
		{[]string{"dump", "--qeue", "5"}, exitUsage, "", "did you mean --queue?\n"},
		{fields("dump out host 192.0.2.1"), exitUsage, "", "write saddr ADDRESS or daddr"},
		{fields("dump out tcp dport 80 or dport 443"), exitUsage, "", "between whole rules"},
		{fields("dump -f 'tcp dport 80' out"), exitUsage, "", `"dport" (column 5): write dst port`},
		{[]string{"demo", "nonsense"}, exitUsage, "", "See 'nfq demo --help'.\n"},
		{[]string{"demo", "--nonsense"}, exitUsage, "", "See 'nfq demo --help'.\n"},
	} {
		cmd := command(test.args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%q: exit code %d, want %d", test.args, code, test.code)
		}
		check := func(name, got, want string) {
			if !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%q: %s %q, want %q", test.args, name, got, want)
			}
		}
		check("stdout", stdout.String(), test.stdout)
		check("stderr", stderr.String(), test.stderr)
	}
}
