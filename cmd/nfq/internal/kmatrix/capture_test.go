// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"maps"
	"testing"
)

func TestCaptured(t *testing.T) {
	const log = lineKernel + "6.1.0-50-s390x\n" +
		lineStart + ".\n=== RUN   TestHooks/ip\nBEGIN TestHooks/ip\nid: 1\n\n00\nEND\nBEGIN TestHooks/ip\nid: 2\nEND\nPASS\n" + lineEnd + ". 0 1s\n" +
		lineStart + "./rules\nBEGIN TestOther\ncut off\n" + lineEnd + "./rules 1 1s\n" + lineDone + "\n"
	got := parseLog(log).captured(guest{goarch: "s390x"})
	want := map[string]string{"linux-6.1-s390x-hooks-ip.txt": "id: 1\n\n00\n"}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
