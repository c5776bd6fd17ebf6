// SPDX-License-Identifier: GPL-2.0-or-later

package sender

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Kind is a subject of a Log. Each gets one line a second: what a remote host can provoke
// must not fill a disk.
type Kind int

// Kinds of lines.
const (
	KindBuffer    Kind = iota // the receive buffer is small
	KindSend                  // sending failed
	KindRefused               // the kernel refused a verdict
	KindMalformed             // the kernel sent something unusable
	KindInvalid               // a handler failed
	KindReceive               // receiving failed
	KindSlow                  // a handler took long
	KindFlag                  // a flag is missing
	KindRounds                // a packet comes round again and again
	KindTracker               // a connection is dropped for what the queue does not see
	kinds
)

const logInterval = time.Second

// Log writes to a logger no more than one line for each kind and second. The next line of the
// kind says how many were left out.
type Log struct {
	To    *slog.Logger
	mu    sync.Mutex
	kinds [kinds]struct {
		written bool
		next    time.Duration
		omitted int
	}
}

// Write writes a line. It calls the logger, which may call anything, without a lock.
func (l *Log) Write(level slog.Level, kind Kind, msg string, args ...any) {
	if !l.To.Enabled(context.Background(), level) {
		return
	}
	t := Now()
	l.mu.Lock()
	k := &l.kinds[kind]
	omitted := k.omitted
	if k.written && t < k.next {
		k.omitted++
		l.mu.Unlock()
		return
	}
	k.written, k.next, k.omitted = true, t+logInterval, 0
	l.mu.Unlock()
	if omitted > 0 {
		args = append(args, "omitted", omitted)
	}
	l.To.Log(context.Background(), level, msg, args...)
}

// Warn writes a line with the level of a warning.
func (l *Log) Warn(kind Kind, msg string, args ...any) {
	l.Write(slog.LevelWarn, kind, msg, args...)
}

// Error writes a line with the level of an error.
func (l *Log) Error(kind Kind, msg string, args ...any) {
	l.Write(slog.LevelError, kind, msg, args...)
}
