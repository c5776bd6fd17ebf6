// SPDX-License-Identifier: GPL-2.0-or-later

package netlab_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

var loopback4, loopback6 = netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()

// netns names the network namespace of the calling thread.
func netns() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }

func inHost(t *testing.T, h *netlab.Host) string {
	t.Helper()
	ns, err := netlab.In(h, netns)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestLoopback(t *testing.T) {
	h := labtest.Host(t)
	for _, addr := range []netip.Addr{loopback4, loopback6} {
		exchange(t, h, addr, h, addr)
	}
}

func TestHostsAreSeparate(t *testing.T) {
	a, b := labtest.Host(t), labtest.Host(t)
	outside, err := netns()
	if err != nil {
		t.Fatal(err)
	}
	if ns := inHost(t, a); ns == outside || ns == inHost(t, b) {
		t.Errorf("namespaces: outside %s, hosts %s, %s", outside, ns, inHost(t, b))
	}
	if now, _ := netns(); now != outside {
		t.Errorf("left in %s, was in %s", now, outside)
	}
}

func TestDoNested(t *testing.T) {
	a, b := labtest.Host(t), labtest.Host(t)
	inA, inB := inHost(t, a), inHost(t, b)
	err := a.Do(func() error {
		if ns := inHost(t, b); ns != inB {
			t.Errorf("inner namespace %s, want %s", ns, inB)
		}
		if ns, _ := netns(); ns != inA {
			t.Errorf("after the inner call in %s, want %s", ns, inA)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDoReturnsTheError(t *testing.T) {
	want := errors.New("mine")
	if err := labtest.Host(t).Do(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

func TestDoGoexit(t *testing.T) {
	h := labtest.Host(t)
	var after bool
	var done sync.WaitGroup
	done.Go(func() {
		_ = h.Do(func() error { runtime.Goexit(); return nil })
		after = true
	})
	done.Wait()
	if after {
		t.Error("Do returned although fn ended its goroutine")
	}
}

// A thread that has lost the capability cannot go back; no other goroutine may get it.
func TestDoThrowsAwayTheThread(t *testing.T) {
	h := labtest.Host(t)
	outside, err := netns()
	if err != nil {
		t.Fatal(err)
	}
	var lost int
	err = h.Do(func() error {
		lost = unix.Gettid()
		return dropCapabilities()
	})
	if err != nil {
		t.Fatal(err)
	}
	var seen sync.WaitGroup
	start := make(chan struct{})
	for range 50 {
		seen.Go(func() {
			<-start
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if ns, err := netns(); err != nil || ns != outside || unix.Gettid() == lost {
				t.Errorf("thread %d in %s (%v), want %s", unix.Gettid(), ns, err, outside)
			}
		})
	}
	close(start)
	seen.Wait()
}

func TestDoConcurrent(t *testing.T) {
	a, b := labtest.Host(t), labtest.Host(t)
	want := map[*netlab.Host]string{a: inHost(t, a), b: inHost(t, b)}
	var all sync.WaitGroup
	for h, ns := range want {
		for range 4 {
			all.Go(func() {
				for range 100 {
					if got, err := netlab.In(h, netns); got != ns || err != nil {
						t.Errorf("in %s (%v), want %s", got, err, ns)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

func TestClose(t *testing.T) {
	labtest.Need(t)
	h, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	conn := listen(t, h, loopback4)
	for range 2 {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := h.Do(func() error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Do after Close: %v", err)
	}
	if fd := h.FD(); fd >= 0 {
		t.Errorf("FD after Close: %d", fd)
	}
	send(t, conn, conn, "still there")
	expect(t, conn, "still there")
}

func TestFD(t *testing.T) {
	h := labtest.Host(t)
	var want, got unix.Stat_t
	if err := unix.Fstat(h.FD(), &got); err != nil {
		t.Fatal(err)
	}
	err := h.Do(func() error { return unix.Stat("/proc/thread-self/ns/net", &want) })
	if err != nil {
		t.Fatal(err)
	}
	if got.Ino != want.Ino {
		t.Errorf("inode %d, want %d", got.Ino, want.Ino)
	}
}

func TestSysctl(t *testing.T) {
	a, b := labtest.Host(t), labtest.Host(t)
	const path = "ipv4/ip_default_ttl"
	before, err := b.Sysctl(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetSysctl(path, "7"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Sysctl(path); got != "7" || err != nil {
		t.Errorf("in the host: %q, %v", got, err)
	}
	if got, err := b.Sysctl(path); got != before || err != nil {
		t.Errorf("in another host: %q, %v, want %q", got, err, before)
	}
	if err := a.SetSysctl("no/such", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing sysctl: %v", err)
	}
}
