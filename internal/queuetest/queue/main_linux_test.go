// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

func TestMain(m *testing.M) { queuelab.Main(m, map[string]func(){"successor": succeed}) }
