// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestMan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man", "man1")
	day := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	t.Setenv("SOURCE_DATE_EPOCH", "981173106")
	if code := execute(t.Context(), []string{"man", dir}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	check := func(c *cobra.Command) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil {
			t.Error(err)
		}
		for _, want := range []string{`.TH "` + strings.ToUpper(name) + `" "1" "` +
			day.Format("Jan 2006") + `" "nfq" "NFQUEUE"`, c.Short} {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s.1 does not contain %q", name, want)
			}
		}
	}
	root := newRoot()
	check(root)
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() { // not help
			check(c)
		}
	}
	if hidden, err := filepath.Glob(filepath.Join(dir, "nfq-*-"+featuresCommand+".1")); len(
		hidden,
	) > 0 ||
		err != nil {
		t.Errorf("pages of hidden commands: %v, %v", hidden, err)
	}
}
