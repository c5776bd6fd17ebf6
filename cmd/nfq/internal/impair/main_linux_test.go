// SPDX-License-Identifier: GPL-2.0-or-later

package impair

import (
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// patience bounds every wait for something that must come.
const patience = 20 * time.Second
