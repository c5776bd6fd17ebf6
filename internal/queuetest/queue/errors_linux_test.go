// SPDX-License-Identifier: GPL-2.0-or-later

package queue_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// wantOpError checks what every error of a queue must say.
func wantOpError(t *testing.T, err error, queue uint16, is error, says string) {
	t.Helper()
	var op *nfqueue.OpError
	if !errors.As(err, &op) || op.Queue != queue || !errors.Is(err, is) ||
		!strings.Contains(err.Error(), says) {
		t.Errorf("error %v; want an OpError of queue %d that is %q and says %q", err, queue, is, says)
	}
}

// TestQueueInUse: the kernel's EPERM means that another socket has bound the queue.
func TestQueueInUse(t *testing.T) {
	h := labtest.Host(t)
	queuelab.Open(t, h, nfqueue.Config{Queue: 3})
	_, err := nfqueue.Open(nfqueue.Config{Queue: 3, NetNS: h.FD()})
	wantOpError(t, err, 3, nfqueue.ErrQueueInUse, "has bound it; end that program")
	if errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v is a permission error", err)
	}
	queuelab.Open(t, h, nfqueue.Config{Queue: 4})
}

// TestMissingCapability opens a queue on a thread without CAP_NET_ADMIN.
func TestMissingCapability(t *testing.T) {
	h := labtest.Host(t)
	var err error
	labtest.Must(t, h.Do(func() error {
		return withoutNetAdmin(func() { _, err = nfqueue.Open(nfqueue.Config{Queue: 3}) })
	}))
	wantOpError(t, err, 3, fs.ErrPermission, "CAP_NET_ADMIN")
}

// withoutNetAdmin takes the capability from the calling thread while fn runs.
func withoutNetAdmin(fn func()) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return err
	}
	fn()
	data[0].Effective |= 1 << unix.CAP_NET_ADMIN
	return unix.Capset(&hdr, &data[0])
}

// TestUnknownNamespace: the error names the wrong descriptor.
func TestUnknownNamespace(t *testing.T) {
	labtest.Need(t)
	_, err := nfqueue.Open(nfqueue.Config{NetNS: 1 << 20})
	wantOpError(t, err, 0, unix.EBADF, "network namespace")
}

// TestKernelQueues reads the kernel's table, or gets an error that says why it cannot.
func TestKernelQueues(t *testing.T) {
	h := labtest.Host(t)
	queuelab.Open(t, h, nfqueue.Config{Queue: 9, CopyRange: 100})
	var infos []nfqueue.KernelQueue
	err := h.Do(func() (err error) {
		infos, err = nfqueue.KernelQueues()
		return err
	})
	if errors.Is(err, fs.ErrPermission) && queuelab.OuterID(t, "uid_map") != 0 {
		return // only root of the initial user namespace may read it
	}
	labtest.Must(t, err)
	if len(infos) != 1 || infos[0].Queue != 9 || infos[0].CopyMode != nfqueue.CopyPacket ||
		infos[0].CopyRange != 100 || infos[0].PortID == 0 {
		t.Errorf("%+v", infos)
	}
}
