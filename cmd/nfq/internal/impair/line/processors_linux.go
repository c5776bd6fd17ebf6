// SPDX-License-Identifier: GPL-2.0-or-later

package line

import (
	"runtime"
	"sync"
)

var processors sync.Mutex // GOMAXPROCS is read and written

// KeepThread adds one to GOMAXPROCS for a goroutine that waits in system calls most of the time,
// until giveBack. The runtime lets such a thread keep its P for up to 10 milliseconds, in which
// other goroutines, such as the one that reads the queue, would have to wait if there was none
// left.
func KeepThread() (giveBack func()) {
	change := func(by int) {
		processors.Lock()
		defer processors.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + by)
	}
	change(1)
	return func() { change(-1) }
}
