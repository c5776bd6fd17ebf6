// SPDX-License-Identifier: GPL-2.0-or-later

// Package exampletb has a testing.TB for Example functions, which have none.
package exampletb

import (
	"fmt"
	"slices"
	"testing"
)

// T prints the messages of a test that fails. They change the example's output, so it fails too.
// Methods that are not defined here must not be called.
type T struct {
	testing.TB
	cleanups []func()
	failed   bool
}

// Helper does nothing.
func (t *T) Helper() {}

// Cleanup makes End call f.
func (t *T) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// End calls the functions of Cleanup, the last one first.
func (t *T) End() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// Log prints.
func (t *T) Log(args ...any) { fmt.Println(args...) }

// Logf prints.
func (t *T) Logf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// Failed reports whether something has failed.
func (t *T) Failed() bool { return t.failed }

// Error prints.
func (t *T) Error(args ...any) {
	t.failed = true
	t.Log(args...)
}

// Errorf prints.
func (t *T) Errorf(format string, args ...any) {
	t.failed = true
	t.Logf(format, args...)
}

// Fatal panics.
func (t *T) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// Fatalf panics.
func (t *T) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
