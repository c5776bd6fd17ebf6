// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
