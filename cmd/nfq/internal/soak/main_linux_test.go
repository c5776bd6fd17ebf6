// SPDX-License-Identifier: GPL-2.0-or-later

package soak

import (
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// TestSoak is a short run.
func TestSoak(t *testing.T) {
	labtest.Need(t)
	r, err := Run(t.Context(), Options{Packets: 20_000, Seed: 1, Progress: t.Output()})
	labtest.Must(t, err)
	var text strings.Builder
	labtest.Must(t, r.WriteText(&text))
	if !strings.Contains(text.String(), "the books balance") || r.Passed == 0 {
		t.Errorf("%s", &text)
	}
}
