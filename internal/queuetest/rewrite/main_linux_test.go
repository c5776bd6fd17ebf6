// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

func TestMain(m *testing.M) { queuelab.Main(m, nil) }
