// SPDX-License-Identifier: GPL-2.0-or-later

package addup

import (
	"reflect"
	"testing"
	"time"
)

type part struct{ N uint64 }

type whole struct {
	A    uint64
	B    int
	D    time.Duration
	P    part
	Ptr  *part
	List [2]uint64
	Name string
	Port uint32
}

func TestFields(t *testing.T) {
	var sum whole
	more := whole{1, 2, 3, part{4}, nil, [2]uint64{5, 6}, "x", 7}
	Fields(&sum, &more)
	if want := (whole{1, 2, 3, part{4}, nil, [2]uint64{5, 6}, "", 0}); sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
	more.Ptr = &part{8}
	Fields(&sum, &more)
	Fields(&sum, &more)
	want := whole{3, 6, 9, part{12}, &part{16}, [2]uint64{15, 18}, "", 0}
	if !reflect.DeepEqual(sum, want) || more.Ptr.N != 8 {
		t.Errorf("%+v with %+v, want %+v", sum, sum.Ptr, want)
	}
}
