// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueuetest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	ctx      context.Context
	mu       sync.Mutex
	failed   bool
	messages strings.Builder
	cleanups []func()
}

// record runs a test and its cleanups, and returns whether it failed and its messages.
func record(t *testing.T, test func(tb testing.TB)) (failed bool, messages string) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	run := func(fn func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	run(func() { test(r) })
	cancel()
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		run(last)
	}
	return r.failed, r.messages.String()
}

func (r *recorder) note(fail bool, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || fail
	fmt.Fprintln(&r.messages, message)
}

func (r *recorder) Helper()                      {}
func (r *recorder) Context() context.Context     { return r.ctx }
func (r *recorder) Cleanup(fn func())            { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Log(args ...any)              { r.note(false, fmt.Sprint(args...)) }
func (r *recorder) Logf(f string, args ...any)   { r.note(false, fmt.Sprintf(f, args...)) }
func (r *recorder) Error(args ...any)            { r.note(true, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.note(true, fmt.Sprintf(f, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.FailNow()
}

func (r *recorder) Fatalf(f string, args ...any) {
	r.Errorf(f, args...)
	r.FailNow()
}

func (r *recorder) FailNow() {
	r.note(true, "end")
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Skipped() bool { return false }

// wantFailure fails unless a test fails with all of some words, and returns the words it
// failed with.
func wantFailure(t *testing.T, test func(tb testing.TB), words ...string) {
	t.Helper()
	failed, messages := record(t, test)
	if !failed {
		t.Errorf("the test passes:\n%s", messages)
	}
	for _, w := range words {
		if !strings.Contains(messages, w) {
			t.Errorf("no %q in the messages of the test:\n%s", w, messages)
		}
	}
}

func wantSuccess(t *testing.T, test func(tb testing.TB)) {
	t.Helper()
	if failed, messages := record(t, test); failed || messages != "" {
		t.Errorf("the test fails, or says something:\n%s", messages)
	}
}
