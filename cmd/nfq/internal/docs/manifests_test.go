// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestManifests reads the blocks of YAML, and those of systemd units and the unit in the examples.
func TestManifests(t *testing.T) {
	found := map[string]int{}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			var err error
			switch b.lang {
			case "yaml":
				err = checkYAML(b.text)
			case "ini":
				err = checkUnit(t, b.text)
			default:
				continue
			}
			found[b.lang]++
			if err != nil {
				t.Errorf("%s: %v", b.where, err)
			}
		}
	}
	if found["yaml"] < 3 || found["ini"] == 0 {
		t.Errorf("found %v", found)
	}
	const example = "examples/privileges/privileges.service"
	text, err := os.ReadFile(filepath.Join(root, example))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkUnit(t, string(text)); err != nil {
		t.Errorf("%s: %v", example, err)
	}
}

// checkYAML decodes YAML: objects of Kubernetes, into which package kubernetes looks, or a
// workflow.
func checkYAML(text string) error {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for n := 0; ; n++ {
		var m struct {
			Kind string
			Jobs map[string]struct {
				RunsOn string `yaml:"runs-on"`
				Steps  []struct{ Uses, Run string }
			}
		}
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) && n > 0 {
			return nil
		} else if err != nil {
			return err
		}
		if m.Kind == "" && len(m.Jobs) == 0 {
			return errors.New("neither an object of Kubernetes nor a workflow")
		}
		for name, job := range m.Jobs {
			if job.RunsOn == "" || len(job.Steps) == 0 {
				return fmt.Errorf("job %s has no machine or no steps", name)
			}
			for _, step := range job.Steps {
				if (step.Uses == "") == (step.Run == "") {
					return fmt.Errorf("job %s: a step must use something or run something", name)
				}
			}
		}
	}
}

// unitLine matches a line of a unit that is not a comment.
var unitLine = regexp.MustCompile(`^(\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=.+)$`)

// checkUnit has systemd check a unit, where it is installed.
func checkUnit(t *testing.T, text string) error {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !unitLine.MatchString(line) {
			return fmt.Errorf("%q is no line of a unit", line)
		}
	}
	if !strings.Contains(text, "AmbientCapabilities=CAP_NET_ADMIN\n") {
		return errors.New("the service does not get CAP_NET_ADMIN")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return nil
	}
	// The program is not installed here.
	text = regexp.MustCompile(`ExecStart=\S+`).ReplaceAllString(text, "ExecStart=/bin/true")
	unit := filepath.Join(t.TempDir(), "judge.service")
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		return err
	}
	// It reports on other units of the system too.
	out, _ := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, filepath.Base(unit)) {
			return fmt.Errorf("systemd-analyze: %s", line)
		}
	}
	return nil
}
