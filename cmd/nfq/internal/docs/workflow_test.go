// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestWorkflowSteps: the workflow has a job for each step of .ci/run, but for those that run on
// other kernels.
func TestWorkflowSteps(t *testing.T) {
	list := exec.Command("bash", ".ci/run", "--list")
	list.Dir = root
	out, err := list.Output()
	must(t, err)
	var steps []string
	for line := range strings.Lines(string(out)) {
		if name := strings.Fields(line)[0]; !strings.HasSuffix(name, "kernels") {
			steps = append(steps, name)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, ".github/workflows/ci.yml"))
	must(t, err)
	var workflow struct {
		Jobs struct {
			Steps struct {
				Strategy struct{ Matrix struct{ Step []string } }
			}
		}
	}
	must(t, yaml.Unmarshal(text, &workflow))
	if got := workflow.Jobs.Steps.Strategy.Matrix.Step; len(steps) == 0 || !slices.Equal(got, steps) {
		t.Errorf("the workflow has the steps %q, and .ci/run %q", got, steps)
	}
}

// TestActionsArePinned: actions are named by commits, which cannot be moved as tags can.
func TestActionsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	must(t, err)
	uses := regexp.MustCompile(`(?m)^[ -]*uses: (.*)$`)
	pinned := regexp.MustCompile(`^[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			found++
			if !pinned.MatchString(m[1]) {
				t.Errorf("%s: %q is not a commit with its version", filepath.Base(file), m[1])
			}
		}
	}
	if found == 0 {
		t.Error("found no actions")
	}
}
