// SPDX-License-Identifier: GPL-2.0-or-later

package flood_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
	"golang.org/x/sys/unix"
)

// TestKernelFaultTinyBuffer floods a queue with the smallest possible receive buffer. Every
// datagram counts as received or as lost.
func TestKernelFaultTinyBuffer(t *testing.T) {
	l := newLoopLab(t, netlab.Queue{Num: 1})
	var log queuelab.Log
	s := l.serve(nfqueue.Config{ReadBuffer: 1, Logger: log.Logger()}, queuelab.Always(nfqueue.Accept))
	flood := l.flood(8)
	await(t, "datagrams are lost", func() bool { return s.Stats().Lost > 1000 })
	await(t, "the loss is logged", func() bool { return strings.Contains(strings.Join(log.Peek(), "\n"), "the receive buffer is full") })
	s.awaitHandled(100)
	sent := flood()
	// The last losses show when the next packet arrives.
	for s.Stats().ReadBufferUsed > 0 {
		runtime.Gosched()
	}
	queuelab.Send(t, queuelab.DialUDP(t, l.Host, loopbackPort()), "last")
	k := s.Stats().Kernel
	await(t, "the end of the loss is logged", func() bool {
		return strings.Contains(strings.Join(log.Peek(), "\n"), "the receive buffer loses no more")
	})
	s.wantPassed(s.shutdown())
	st := s.Stats()
	if st.Received+st.Lost != sent+1 || st.ReceiveErrors != 0 {
		t.Errorf("%d datagrams were sent: %+v", sent+1, st)
	}
	if k != nil && (uint64(k.UserDropped) != st.Lost || uint64(k.LastID) != sent+1 ||
		k.QueueDropped != 0) {
		t.Errorf("kernel %+v, ours %+v", k, st)
	}
}

// TestKernelFaultPayloadTooLong makes the send buffer too small for payloads. This is the only
// cause of EMSGSIZE.
func TestKernelFaultPayloadTooLong(t *testing.T) {
	labtest.NeedReplace(t)
	lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
	queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
	long := strings.Repeat("0123456789", 2000)
	q := queuelab.Serve(t, lab.Host, nfqueue.Config{Queue: 1, Fallback: nfqueue.Accept},
		func(p *nfqueue.Packet) nfqueue.Verdict {
			b := p.Payload()
			b[len(b)-1] = 'x'
			if err := p.SetPayload(b); err != nil {
				t.Error(err)
			}
			return nfqueue.Accept
		})
	edited := long[:len(long)-1] + "x"
	lab.In(long)
	lab.Out(t, edited)
	fd := descriptorOf(t, q)
	labtest.Must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1))
	lab.In(long)
	lab.In("short")
	lab.Out(t, long, "shorx")
	labtest.Must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 200_000))
	lab.In(long)
	lab.Out(t, edited)
	queuelab.Stop(t, q)
	queuelab.Settled(t, q)
	if s := q.Stats(); s.Fallback.Send != 1 || s.Unsent != 0 || s.Accepted != 4 {
		t.Errorf("%+v", s)
	}
}

// TestKernelFaultSendFails has a seccomp filter make sends fail, as in a kernel without memory. The
// queue gives up verdicts that cannot be sent, and goes on.
func TestKernelFaultSendFails(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			lab := queuelab.NewVerdictLab(t, netlab.IP, queuelab.Localhost)
			queuelab.QueueUDP(t, lab.Queueing, netlab.Queue{Num: 1})
			q := queuelab.Open(t, lab.Host, nfqueue.Config{Queue: 1, FlushAfter: time.Hour})
			for i := range 5 {
				lab.In(fmt.Sprint(i))
			}
			result := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // for good: the filter stays with the thread
				result <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(p *nfqueue.Packet) nfqueue.Verdict {
					switch p.ID() {
					case 1:
						if err := refuseToSend(errno); err != nil {
							t.Error(err)
						}
					case 5: // ends Serve without another word to the kernel
						panic("enough")
					}
					return nfqueue.Accept
				}))
			}()
			var p *nfqueue.PanicError
			if err := queuelab.WaitFor(t, result); !errors.As(err, &p) {
				t.Errorf("Serve: %v", err)
			}
			if s := q.Stats(); s.Unsent != 5 || s.Kernel != nil && s.Kernel.Backlog != 5 {
				t.Errorf("%+v", s)
			}
			queuelab.ServeOpen(t, q, queuelab.Always(nfqueue.Accept))
			lab.In("after all")
			lab.Out(t, "after all")
			queuelab.Stop(t, q)
			if effective := queuelab.Settled(t, q); effective != 1 {
				t.Errorf("%+v", q.Stats())
			}
		})
	}
}

// refuseToSend makes sendmsg(2) fail on the calling thread, for ever.
func refuseToSend(errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // nr of struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SENDMSG},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)),
		0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	runtime.KeepAlive(filter)
	return nil
}

// TestKernelFaultMemoryLimit floods a process with little memory. It either survives and accounts
// for every packet, or the kernel kills it and another process serves the queue.
func TestKernelFaultMemoryLimit(t *testing.T) {
	limit := memoryLimit(t, 64<<20) // the race detector needs most of it
	if limit == nil {
		return // only root of the initial user namespace may limit
	}
	l := newLoopLab(t, netlab.Queue{Num: 1})
	p := l.start("consumer", limit)
	p.says()
	conn := queuelab.DialUDP(t, l.Host, loopbackPort())
	large := make([]byte, 60_000)
	binary.BigEndian.PutUint32(large, 1)
	flood := l.flood(8)
	for range 200 {
		if _, err := conn.Write(large); err != nil {
			t.Error(err)
		}
	}
	l.awaitPassed(5000)
	sent := flood() + 200
	received, accepted, odd := p.finish()
	if received != accepted || odd != 0 || l.count() != accepted || received > sent {
		t.Errorf("%d datagrams were sent, %d received, %d accepted, %d odd, %d have gone on", sent,
			received, accepted, odd, l.count())
	}
}

// memoryLimit returns a function that starts a process in a control group with a limit, or nil if
// that is not permitted. A process begins in the group of the thread that starts it.
func memoryLimit(t *testing.T, bytes int) func(*exec.Cmd) error {
	t.Helper()
	for _, c := range []struct{ root, file string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(c.root, fmt.Sprintf("nfqueue-test-%d", os.Getpid()))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Log(err)
			return nil
		}
		t.Cleanup(func() {
			await(t, "the control group is empty", func() bool { return os.Remove(dir) == nil })
		})
		if err := os.WriteFile(filepath.Join(dir, c.file), fmt.Append(nil, bytes), 0); err != nil {
			t.Log(err)
			return nil
		}
		return func(cmd *exec.Cmd) error {
			// The shell moves itself, and becomes the program.
			cmd.Args = []string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$1"`, dir, exe(t)}
			cmd.Path = "/bin/sh"
			return nil
		}
	}
	return nil
}

func exe(t *testing.T) string {
	path, err := os.Executable()
	labtest.Must(t, err)
	return path
}
