// SPDX-License-Identifier: GPL-2.0-or-later

// Package kubernetes checks the objects of Kubernetes in the documents against its API. It is a module of its own, as no
// other package needs that.
package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var object = regexp.MustCompile("(?m)^```yaml\n(apiVersion: (?s:.*?))^```$")

// TestManifests decodes each object with the types of its API, which refuse what they do not have.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("../../../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range object.FindAllSubmatch(text, -1) {
			kind, err := check(m[1])
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", file, kind, err, m[1])
			}
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"DaemonSet", "Pod"}) {
		t.Errorf("found %q", kinds)
	}
}

func check(text []byte) (kind string, err error) {
	var pod corev1.Pod
	var set appsv1.DaemonSet
	if err := yaml.Unmarshal(text, &pod.TypeMeta); err != nil {
		return "", err
	}
	kind = pod.Kind
	spec := &pod.Spec
	switch pod.APIVersion + " " + kind {
	case "v1 Pod":
		err = decode(text, &pod)
	case "apps/v1 DaemonSet":
		err = decode(text, &set)
		spec = &set.Spec.Template.Spec
		for label, value := range set.Spec.Selector.MatchLabels {
			if set.Spec.Template.Labels[label] != value {
				return kind, fmt.Errorf("the selector does not match the label %s", label)
			}
		}
	default:
		return kind, fmt.Errorf("%s has no such kind", pod.APIVersion)
	}
	if err != nil {
		return kind, err
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if s := c.SecurityContext; s != nil && s.Capabilities != nil &&
			slices.Contains(s.Capabilities.Add, "NET_ADMIN") {
			return kind, nil
		}
	}
	return kind, fmt.Errorf("no container has NET_ADMIN")
}

// decode decodes as a cluster does, for which unknown fields are wrong, and others have exactly one spelling.
func decode(text []byte, object any) error {
	converted, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(converted, object)
	return errors.Join(append(unknown, err)...)
}
