// SPDX-License-Identifier: GPL-2.0-or-later

package transport

import (
	"sync"
	"time"
)

// Link is a network interface.
type Link struct {
	Name string
	MTU  int // 0 if it is not known
}

// Links caches interfaces for a second, in which a change goes unnoticed.
type Links struct {
	Conn Conn
	mu   sync.Mutex
	m    map[uint32]cachedLink
}

type cachedLink struct {
	Link
	expires time.Time
}

// maxLinks bounds the memory for interfaces that come and go.
const maxLinks = 4096

// Get returns an interface, the zero Link if there is none with that index.
func (l *Links) Get(index uint32) Link {
	t := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.m[index]
	if !ok || t.After(e.expires) {
		e.Link, _ = l.Conn.Link(index)
		e.expires = t.Add(time.Second)
		if l.m == nil || len(l.m) >= maxLinks {
			l.m = make(map[uint32]cachedLink)
		}
		l.m[index] = e
	}
	return e.Link
}
