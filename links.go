// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"sync"
	"time"

	"github.com/chifflier/nfqueue-go/internal/sender"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// linkNames remembers the names of interfaces for a second, in which a rename goes
// unnoticed.
type linkNames struct {
	conn transport.Conn
	mu   sync.Mutex
	m    map[uint32]linkName
}

type linkName struct {
	name    string
	expires time.Duration
}

// maxLinkNames bounds the memory for interfaces that come and go.
const maxLinkNames = 4096

func (l *linkNames) name(index uint32) string {
	t := sender.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.m[index]
	if !ok || t > e.expires {
		e.name, _ = l.conn.LinkName(index) // gone: no name
		e.expires = t + time.Second
		if l.m == nil || len(l.m) >= maxLinkNames {
			l.m = make(map[uint32]linkName)
		}
		l.m[index] = e
	}
	return e.name
}
