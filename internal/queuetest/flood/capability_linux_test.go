// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// TestOnlyCapability serves a queue in a process that has only CAP_NET_ADMIN, and that is not root
// if another user exists.
func TestOnlyCapability(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	p := l.start("consumer", func(cmd *exec.Cmd) error {
		runtime.LockOSThread() // for good: the thread ends with less than it had
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			if c == unix.CAP_NET_ADMIN {
				continue
			}
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil &&
				err != unix.EINVAL { // a kernel may know fewer
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
		if queuelab.OuterID(t, "uid_map") == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
				AmbientCaps: []uintptr{unix.CAP_NET_ADMIN},
			}
		}
		return nil
	})
	p.says()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	labtest.Must(t, err)
	only := fmt.Sprintf("%016x", 1<<unix.CAP_NET_ADMIN)
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		if !strings.Contains(string(status), set+":\t"+only) {
			t.Errorf("%s is not %s in\n%s", set, only, status)
		}
	}
	flood := l.flood(2)
	l.awaitPassed(1000)
	sent := flood()
	if received, accepted, odd := p.finish(); received != sent || accepted != sent || odd != 0 ||
		l.count() != sent {
		t.Errorf("%d datagrams were sent, %d received, %d accepted, %d odd, %d have gone on", sent,
			received, accepted, odd, l.count())
	}
}
