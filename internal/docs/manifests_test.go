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
	"slices"
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

// manifest is what of an object of Kubernetes, or of a workflow, is looked at. Unknown fields of a securityContext are
// refused, as a misspelt one would be ignored.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct{ Name string }
	Spec       yaml.Node
	Jobs       map[string]struct {
		RunsOn string `yaml:"runs-on"`
		Steps  []struct{ Uses, Run string }
	}
}

type container struct {
	Name, Image     string
	Args            []string
	SecurityContext yaml.Node `yaml:"securityContext"`
}

type securityContext struct {
	RunAsUser                int  `yaml:"runAsUser"`
	AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
	Capabilities             struct{ Drop, Add []string }
}

func checkYAML(text string) error {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for n := 0; ; n++ {
		var m manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) && n > 0 {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case m.Kind != "":
			if m.APIVersion == "" || m.Metadata.Name == "" {
				return errors.New("no apiVersion or name")
			}
			if err := checkPods(m); err != nil {
				return err
			}
		case len(m.Jobs) == 0:
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

func checkPods(m manifest) error {
	spec := &m.Spec
	if m.Kind != "Pod" {
		var workload struct {
			Selector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			}
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     yaml.Node
			}
		}
		if err := spec.Decode(&workload); err != nil {
			return err
		}
		for label, value := range workload.Selector.MatchLabels {
			if workload.Template.Metadata.Labels[label] != value {
				return fmt.Errorf("the selector does not match the label %s", label)
			}
		}
		spec = &workload.Template.Spec
	}
	var pod struct {
		Containers     []container
		InitContainers []container `yaml:"initContainers"`
	}
	if err := spec.Decode(&pod); err != nil {
		return err
	}
	able := false
	for _, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		if c.Name == "" || c.Image == "" {
			return errors.New("a container without name or image")
		}
		if c.SecurityContext.IsZero() {
			continue
		}
		text, err := yaml.Marshal(&c.SecurityContext)
		if err != nil {
			return err
		}
		var s securityContext
		strict := yaml.NewDecoder(strings.NewReader(string(text)))
		strict.KnownFields(true)
		if err := strict.Decode(&s); err != nil {
			return err
		}
		able = able || slices.Contains(s.Capabilities.Add, "NET_ADMIN")
	}
	if !able {
		return errors.New("no container has NET_ADMIN")
	}
	return nil
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
	// It also tells of other units of the system, which are not our affair.
	out, _ := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, filepath.Base(unit)) {
			return fmt.Errorf("systemd-analyze: %s", line)
		}
	}
	return nil
}
