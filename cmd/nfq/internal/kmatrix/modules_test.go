// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"io/fs"
	"slices"
	"testing"
)

func TestDependencies(t *testing.T) {
	const info = "license=GPL\x00depends=nf_conntrack,nf-nat\x00softdep=pre: crc32c sha256 post: late\x00name=x\x00depends=\x00softdep=post: later\x00"
	if got, want := dependencies([]byte(info)), []string{"nf_conntrack", "nf-nat", "crc32c",
		"sha256"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestModuleOrder(t *testing.T) {
	needs := map[string]string{
		"a":      "depends=b,c_d",
		"b":      "depends=c-d",
		"c_d":    "softdep=pre: missing a", // a circle
		"unused": "",
	}
	l := loader{
		read: func(name string) ([]byte, error) {
			if info, ok := needs[name]; ok {
				return []byte(info), nil
			}
			return nil, fs.ErrNotExist
		},
		info: func(data []byte) ([]byte, error) { return data, nil },
	}
	for _, name := range []string{"built-in", "a", "b", "a"} {
		if err := l.add(name); err != nil {
			t.Fatal(err)
		}
	}
	var order []string
	for _, m := range l.order {
		order = append(order, m.name)
	}
	if want := []string{"c_d", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}
