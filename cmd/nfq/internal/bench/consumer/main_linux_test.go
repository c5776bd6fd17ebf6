// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"fmt"
	"os"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// consumerArg makes the test program a consumer.
const consumerArg = "bench-consumer"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == consumerArg {
		if err := Consume(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	labtest.Main(m)
}

// self is the test program as a consumer in a process of its own.
func self(t *testing.T) *Program {
	t.Helper()
	exe, err := os.Executable()
	labtest.Must(t, err)
	return &Program{
		Title: OurName, Command: []string{exe, consumerArg}, Ours: true,
		// With the race detector a program would rest for a second before it ends.
		Env: []string{"GORACE=atexit_sleep_ms=0"},
	}
}
