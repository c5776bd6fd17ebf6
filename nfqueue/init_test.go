// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"errors"
	"runtime"
	"testing"
)

func TestInit(t *testing.T) {
	q := new(Queue)
	for range 2 {
		err := q.Init()
		if runtime.GOOS == "linux" {
			must(t, err)
			must(t, q.Bind(2))
		} else {
			want(t, err, ErrOpenFailed, errors.ErrUnsupported)
		}
	}
	q.Close()
	if err := q.Bind(2); err != ErrNotInitialized {
		t.Errorf("after Close: %v", err)
	}
}
