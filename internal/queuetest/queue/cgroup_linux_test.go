// SPDX-License-Identifier: GPL-2.0-or-later

//go:build kernelmatrix

package queue_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// newClass makes a control group of the controller net_cls, and returns functions with which the
// process enters and leaves it. The process's sockets move too.
func newClass(t *testing.T, id string) (enter, leave func()) {
	t.Helper()
	root := t.TempDir()
	labtest.Must(t, unix.Mount("cgroup", root, "cgroup", 0, "net_cls"))
	t.Cleanup(func() { labtest.Must(t, unix.Unmount(root, 0)) })
	group := filepath.Join(root, "group")
	labtest.Must(t, os.Mkdir(group, 0o755))
	t.Cleanup(func() { labtest.Must(t, os.Remove(group)) })
	labtest.Must(t, os.WriteFile(filepath.Join(group, "net_cls.classid"), []byte(id), 0))
	moveTo := func(dir string) func() {
		return func() {
			t.Helper()
			labtest.Must(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"),
				[]byte(strconv.Itoa(os.Getpid())), 0))
		}
	}
	return moveTo(group), moveTo(root)
}

// TestCgroupClassID sends from a socket in a control group, and from the same outside.
func TestCgroupClassID(t *testing.T) {
	if !queuelab.FirstUserNamespace(t) {
		t.Skip("control groups of net_cls belong to the first user namespace")
	}
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	enter, leave := newClass(t, "0x00110022")
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	type class struct {
		id uint32
		ok bool
	}
	got := make(chan class, 2)
	queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1}, func(p *nfqueue.Packet) nfqueue.Verdict {
		id, ok := p.CgroupClassID()
		got <- class{id, ok}
		return nfqueue.Accept
	})
	enter()
	lab.In("inside")
	lab.Out(t, "inside")
	leave()
	lab.In("outside")
	lab.Out(t, "outside")
	var want class
	if labtest.AtLeast(t, 6, 4) {
		want = class{0x00110022, true}
	}
	if c := queuelab.WaitFor(t, got); c != want {
		t.Errorf("from inside: %+v, want %+v", c, want)
	}
	if c := queuelab.WaitFor(t, got); c != (class{}) {
		t.Errorf("from outside: %+v, want none", c)
	}
}
