// SPDX-License-Identifier: GPL-2.0-or-later

package queuelab

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Log collects the log of a queue.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// Logger returns a logger that writes to l, without times.
func (l *Log) Logger() *slog.Logger {
	return slog.New(
		slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}),
	)
}

// Peek returns the lines so far.
func (l *Log) Peek() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
	if lines[0] == "" {
		return nil
	}
	return lines
}

// Take returns the lines so far, and deletes them.
func (l *Log) Take() []string {
	lines := l.Peek()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
	return lines
}

// Want fails the test unless there are as many new lines as texts, and each line contains its text.
// A text may have several parts, separated by " ... ".
func (l *Log) Want(t *testing.T, texts ...string) {
	t.Helper()
	lines := l.Take()
	if len(lines) != len(texts) {
		t.Fatalf("log %q, want %d lines", lines, len(texts))
	}
	for i, line := range lines {
		for _, text := range strings.Split(texts[i], " ... ") {
			if !strings.Contains(line, text) {
				t.Errorf("log line %q, want one with %q", line, text)
			}
		}
	}
}
