// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample goes below a package clause.
const sample = `

func Bare() {}

// Said is documented.
func Said() {}

func unseen() {}

type Type struct {
	Bare int

	// A and B are named.
	A int
	B int
	C int

	D, E int // both have this one

	// F is, but the other is not.
	F, G int
	Type2
	unseen int
}

func (t *Type) Bare() {}

func (t Generic[K]) Bare() {}

// Generic is documented, and X is named.
type Generic[K any] struct{ X, Y K }

type unexported struct{ Bare int }

func (unexported) Method() {}

// Of a group says nothing about its types.
type (
	One int
	// Two is documented.
	Two int
)

// Iface is documented.
type Iface interface {
	Bare()
	// Said is documented.
	Said()
	error
}

// One comment for a group.
const (
	X = iota
	Y
)

const (
	Z = 1 // has a comment
	// W has one.
	W = 2
	V = 3

	u = 4
)

var Variable, other = 1, 2
`

// What sample lacks, of which the fields matter in public packages only.
var (
	bare       = []string{"Bare", "Type", "Type.Bare", "Generic.Bare", "One", "Iface.Bare", "V", "Variable"}
	bareFields = []string{"Type.Bare", "Type.C", "Type.G", "Generic.Y"}
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		dir, clause string
		fields      bool
	}{
		{"sample", "package sample", true},
		{"internal/sample", "package sample", false},
		{"cmd", "package main", false},
	} {
		dir := filepath.Join(t.TempDir(), c.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		source := c.clause + sample
		if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a_test.go"), []byte("package sample\n\nfunc Test() {}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		want := append([]string{c.clause}, bare...)
		if c.fields {
			want = append(want, bareFields...)
		}
		got, err := checkTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		left := strings.Join(got, "\n")
		for _, w := range want {
			before := left
			if left = strings.Replace(left, ": "+w+" has no doc comment", "", 1); left == before {
				t.Errorf("%s: %s was not found", c.dir, w)
			}
		}
		if strings.Contains(left, "has no") {
			t.Errorf("%s: also found\n%s", c.dir, left)
		}
	}
}
