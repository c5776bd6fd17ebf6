// SPDX-License-Identifier: GPL-2.0-or-later

package transport

import (
	"sync"
	"time"
)

// LinkNames remembers the names of interfaces for a second, in which a rename goes unnoticed.
type LinkNames struct {
	Conn Conn
	mu   sync.Mutex
	m    map[uint32]linkName
}

type linkName struct {
	name    string
	expires time.Time
}

// maxLinkNames bounds the memory for interfaces that come and go.
const maxLinkNames = 4096

// Name returns the name of an interface, "" if there is none of that index.
func (l *LinkNames) Name(index uint32) string {
	t := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.m[index]
	if !ok || t.After(e.expires) {
		e.name, _ = l.Conn.LinkName(index) // gone: no name
		e.expires = t.Add(time.Second)
		if l.m == nil || len(l.m) >= maxLinkNames {
			l.m = make(map[uint32]linkName)
		}
		l.m[index] = e
	}
	return e.name
}
