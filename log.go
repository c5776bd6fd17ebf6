// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// logKind is a subject of the log. Each gets one line a second: what a remote host
// can provoke must not fill a disk.
type logKind int

const (
	logBuffer logKind = iota
	logSend
	logRefused
	logMalformed
	logInvalid
	logReceive
	logKinds
)

const logInterval = time.Second

// limitedLog writes to a logger no more than a line for each kind and interval.
// The next line of the kind says how many were left out.
type limitedLog struct {
	to    *slog.Logger
	mu    sync.Mutex
	kinds [logKinds]struct {
		written bool
		next    time.Duration
		omitted int
	}
}

func (l *limitedLog) warn(kind logKind, msg string, args ...any) {
	l.log(slog.LevelWarn, kind, msg, args...)
}

func (l *limitedLog) error(kind logKind, msg string, args ...any) {
	l.log(slog.LevelError, kind, msg, args...)
}

func (l *limitedLog) log(level slog.Level, kind logKind, msg string, args ...any) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	t := now()
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
	l.to.Log(context.Background(), level, msg, args...)
}
