// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// link matches [text](target), and the sources of images.
	link    = regexp.MustCompile(`(?:\]\(|src=")([^)"\s]+)[)"]`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// notInAnchor is what an anchor leaves out of its heading.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
	inlineCode  = regexp.MustCompile("`[^`\n]*`")
	// treeName matches a file or folder in the tree of the architecture.
	treeName = regexp.MustCompile(`[a-z][a-z_/]*(?:\.go\b|/(?:\s|$))`)
)

// anchors returns the names by which the headings of a document can be linked.
func (d document) anchors() map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(d.text, -1) {
		all[strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

// TestLinks follows the links between documents, to files and to headings.
func TestLinks(t *testing.T) {
	byName := map[string]document{}
	all := documents(t)
	for _, d := range all {
		byName[d.name] = d
	}
	followed := 0
	for _, d := range all {
		for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(d.text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			followed++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := d.name
			if path != "" {
				target = filepath.Join(filepath.Dir(d.name), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: link to %s: %v", d.name, m[1], err)
			} else if anchor != "" && !byName[target].anchors()[anchor] {
				t.Errorf("%s: link to %s: %s has no such heading", d.name, m[1], target)
			}
		}
	}
	if followed < 20 {
		t.Errorf("found %d links", followed)
	}
}

// TestGuidesAreListed: the list of guides has every document beside it.
func TestGuidesAreListed(t *testing.T) {
	const list = "docs/README.md"
	text, err := os.ReadFile(filepath.Join(root, list))
	must(t, err)
	for _, d := range documents(t) {
		name := filepath.Base(d.name)
		if filepath.Dir(d.name) == "docs" && d.name != list &&
			!strings.Contains(string(text), "("+name+")") {
			t.Errorf("%s has no link to %s", list, name)
		}
	}
}

// TestArchitectureTree: what the tree in docs/ARCHITECTURE.md names exists, and it names all files of
// the root package and all folders of the library and the tool.
func TestArchitectureTree(t *testing.T) {
	all := documents(t)
	d := all[slices.IndexFunc(all, func(d document) bool { return d.name == "docs/ARCHITECTURE.md" })]
	named := map[string]bool{}
	for _, name := range treeName.FindAllString(d.blocks[0].text, -1) {
		name = strings.TrimSpace(name)
		found := false
		for _, dir := range []string{"", "internal", "cmd/nfq/internal"} {
			_, err := os.Stat(filepath.Join(root, dir, name))
			found = found || err == nil
		}
		if !found {
			t.Errorf("there is no %s", name)
		}
		named[strings.TrimSuffix(name, "/")] = true
	}
	var missing []string
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go", "cmd/nfq/internal/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		must(t, err)
		for _, file := range files {
			name := filepath.Base(file)
			if pattern != "*.go" {
				name = filepath.Base(filepath.Dir(file))
			}
			if !strings.HasSuffix(name, "_test.go") && !named[name] {
				missing = append(missing, name)
			}
		}
	}
	slices.Sort(missing)
	if missing = slices.Compact(missing); len(missing) > 0 {
		t.Errorf("the tree does not have %q", missing)
	}
}
