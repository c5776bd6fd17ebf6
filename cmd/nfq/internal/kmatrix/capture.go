// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// captureEnv makes tests print the messages of the kernel as files for testdata/packets.
const captureEnv = "NFQUEUE_CAPTURE"

// captured returns the files that tests have printed, by name.
func (o outcome) captured(g guest) map[string]string {
	version := strings.SplitN(o.kernel, ".", 3)
	if len(version) < 3 {
		return nil
	}
	files := make(map[string]string)
	for _, j := range o.jobs {
		var name string // of the test
		var text strings.Builder
		for line := range strings.Lines(j.output) {
			if begun, ok := strings.CutPrefix(line, "BEGIN "); ok {
				name = strings.TrimSpace(begun)
				text.Reset()
			} else if name != "" && strings.TrimSpace(line) == "END" {
				test := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "Test")), "/", "-")
				file := fmt.Sprintf("linux-%s.%s-%s-%s.txt", version[0], version[1], g.goarch, test)
				if files[file] == "" { // the first, if a test has several queues
					files[file] = text.String()
				}
				name = ""
			} else {
				text.WriteString(line)
			}
		}
	}
	return files
}

// writeCaptured puts what was captured into a folder.
func (o outcome) writeCaptured(dir string, g guest) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range o.captured(g) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
