// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"runtime"
	"strconv"
)

// Ours returns the consumers that use this module's Queue: in processes that run command, which has
// to call Consume with its further arguments, and in the calling process. A process has as many
// threads for Go code as on the whole machine although it is kept to fewer processors, or just one.
func Ours(command ...string) []Consumer {
	return []Consumer{
		&Program{
			Title:   OurName,
			Command: command,
			Ours:    true,
			Env:     []string{"GOMAXPROCS=" + strconv.Itoa(runtime.NumCPU())},
		},
		&Program{
			Title:   OurName + ", GOMAXPROCS=1",
			Command: command,
			Ours:    true,
			Env:     []string{"GOMAXPROCS=1"},
		},
		InProcess{},
	}
}
