// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/probe"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
)

// probeIn runs nfq probe in a host.
func probeIn(t *testing.T, h *netlab.Host, args ...string) (code int, stdout string) {
	cmd := command(append([]string{"probe"}, args...)...)
	var out strings.Builder
	cmd.Stdout = &out
	labtest.Must(t, h.Do(cmd.Start))
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestProbe(t *testing.T) {
	h := labtest.Host(t)
	if code, out := probeIn(t, h); code != exitOK || !strings.Contains(out, "\nproblems: 0, ") ||
		!strings.Contains(out, "ok       the kernel has nfnetlink_queue\n") {
		t.Errorf("quiet host: exit code %d\n%s", code, out)
	}
	set, err := rules.Install(rules.Config{NetNS: h.FD()}, rules.Rule{Queue: 9, NoBypass: true})
	labtest.Must(t, err)
	defer func() { labtest.Must(t, set.Close()) }()
	if code, out := probeIn(t, h); code != exitFailed ||
		!strings.Contains(out, "problem  nftables inet ") ||
		!strings.Contains(out, "nobody serves queue 9") {
		t.Errorf("rule without a program: exit code %d\n%s", code, out)
	}
	code, out := probeIn(t, h, "--json")
	var r probe.Report
	labtest.Must(t, json.Unmarshal([]byte(out), &r))
	if code != exitFailed || r.Count(probe.Problem) != 1 {
		t.Errorf("JSON: exit code %d\n%s", code, out)
	}
}

func TestProbeUnprivileged(t *testing.T) {
	labtest.Need(t)
	cmd := command("probe")
	unprivileged(t, cmd)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitUnavailable ||
		!strings.Contains(string(out), "no CAP_NET_ADMIN") ||
		!strings.Contains(string(out), "unknown  the rules of nf_tables cannot be read") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
