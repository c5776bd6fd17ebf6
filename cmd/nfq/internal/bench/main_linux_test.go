// SPDX-License-Identifier: GPL-2.0-or-later

package bench

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
