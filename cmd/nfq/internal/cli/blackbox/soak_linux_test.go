// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestSoak(t *testing.T) {
	labtest.Need(t)
	out, err := command("bench", "soak", "--for", "1s", "--packets", "1000").Output()
	if err != nil || !strings.Contains(string(out), "the books balance") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSoakUsage(t *testing.T) {
	for _, args := range [][]string{{"--for", "-1s"}, {"--packets", "many"}, {"surplus"}} {
		cmd := command(append([]string{"bench", "soak"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), "See 'nfq bench soak --help'.") {
			t.Errorf("%v: exit code %d, %s", args, code, &stderr)
		}
	}
}
