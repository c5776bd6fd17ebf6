// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// sandbox is a system for the commands of one document: a network namespace with some traffic, and a
// view of the files that forgets what is written.
type sandbox struct {
	t     *testing.T
	host  *netlab.Host
	dir   string      // where the reader begins
	env   []string    // for commands
	calls chan func() // to the thread that is in both namespaces
}

// newSandbox makes a sandbox for commands with an environment. Nothing that they write to the
// writable directories stays.
func newSandbox(t *testing.T, env, writable []string) *sandbox {
	t.Helper()
	host, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{t: t, host: host, dir: filepath.Join(t.TempDir(), "reader"), env: env,
		calls: make(chan func())}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	upper := t.TempDir()
	ready := make(chan error, 1)
	var thread sync.WaitGroup
	thread.Go(func() {
		err := host.Do(func() error {
			// The thread ends with the goroutine: no other may have this view of the files.
			runtime.LockOSThread()
			if err := ownFiles(upper, writable); err != nil {
				return err
			}
			ready <- nil
			for call := range s.calls {
				call()
			}
			return nil
		})
		if err != nil {
			ready <- err
		}
	})
	t.Cleanup(func() { close(s.calls); thread.Wait(); host.Close() })
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	s.sendQueries()
	return s
}

// do calls f on the thread that is in the namespaces.
func (s *sandbox) do(f func()) {
	done := make(chan struct{})
	s.calls <- func() { f(); close(done) }
	<-done
}

// ownFiles gives the calling thread a mount namespace in which what is written to some directories
// ends in memory.
func ownFiles(upper string, writable []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", upper, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for i, dir := range writable {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		layer, work := fmt.Sprint(upper, "/", i), fmt.Sprint(upper, "/", i, "-work")
		for _, d := range []string{layer, work} {
			if err := os.Mkdir(d, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount("overlay", dir, "overlay", 0,
			"lowerdir="+dir+",upperdir="+layer+",workdir="+work); err != nil {
			return fmt.Errorf("mount an overlay on %s: %w", dir, err)
		}
	}
	return nil
}

// sendQueries sends a DNS query to port 53 of loopback a hundred times a second, so that there is
// something to see.
func (s *sandbox) sendQueries() {
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}
	receiver, err := netlab.In(s.host, func() (*net.UDPConn, error) { return net.ListenUDP("udp4", to) })
	if err != nil {
		s.t.Fatal(err)
	}
	sender, err := netlab.In(s.host, func() (*net.UDPConn, error) { return net.DialUDP("udp4", nil, to) })
	if err != nil {
		s.t.Fatal(err)
	}
	query := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			// Packets that wait in a queue fill the send buffer, and dropped ones are an error:
			// neither matters.
			_ = sender.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = sender.Write([]byte(query))
		}
	})
	s.t.Cleanup(func() { close(stop); sending.Wait(); sender.Close(); receiver.Close() })
}

// queues returns who has bound which queue, in the namespace of the sandbox or another that has a
// name.
func (s *sandbox) queues(namespace string) string {
	table := "/proc/thread-self/net/netfilter/nfnetlink_queue"
	var text []byte
	var err error
	s.do(func() {
		if namespace == "" {
			text, err = os.ReadFile(table)
		} else {
			text, _ = exec.Command("ip", "netns", "exec", namespace, "cat",
				table).Output() // it may not be there yet
		}
	})
	if err != nil {
		s.t.Error(err)
	}
	var bound []string // number and port id
	for line := range strings.Lines(string(text)) {
		bound = append(bound, strings.Join(strings.Fields(line)[:2], " "))
	}
	return strings.Join(bound, "\n")
}
