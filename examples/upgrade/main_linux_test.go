// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// mainEnv makes the test binary the program.
const mainEnv = "UPGRADE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		if _, err := os.Stat(os.Args[0] + hangs); err == nil && os.Getenv(inherited) != "" {
			log.Print("hangs")
			time.Sleep(10 * patience)
		}
		main()
		return
	}
	labtest.Main(m)
}

// hangs is the ending of a file that keeps new processes from getting ready.
const hangs = ".hangs"

const (
	patience = 20 * time.Second
	port     = 4000
)

// TestUpgrades upgrades the program again and again while datagrams come in without a
// pause, a hundred under way at any time. The receiver gets each of them, also when the
// program file has been moved away and the upgrade fails, and each was judged once.
func TestUpgrades(t *testing.T) {
	h := labtest.Host(t)
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	in, err := netlab.In(h, func() (*net.UDPConn, error) { return net.ListenUDP("udp", at) })
	labtest.Must(t, err)
	defer in.Close()
	out, err := netlab.In(h, func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, at) })
	labtest.Must(t, err)
	defer out.Close()

	said, says, err := os.Pipe()
	labtest.Must(t, err)
	defer said.Close()
	self, err := os.ReadFile("/proc/self/exe")
	labtest.Must(t, err)
	program := filepath.Join(t.TempDir(), "program")
	labtest.Must(t, os.WriteFile(program, self, 0o700))
	first := exec.Command(program, "out", "udp", "dport", strconv.Itoa(port), "nobypass")
	first.Env = append(os.Environ(), mainEnv+"=1")
	first.Stderr = says
	labtest.Must(t, h.Do(first.Start))
	says.Close()
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	lines := bufio.NewScanner(said)
	judged, counted := 0, 0 // packets, and the processes that have told how many they judged
	saysAnything := func() bool {
		t.Helper()
		labtest.Must(t, said.SetReadDeadline(time.Now().Add(patience)))
		if !lines.Scan() {
			return false
		}
		var pid, n int
		_, said, _ := strings.Cut(lines.Text(), "process ")
		if _, err := fmt.Sscanf(said, "%d judged %d packets", &pid, &n); err == nil {
			judged += n
			counted++
		}
		return true
	}
	saysMore := func() bool {
		t.Helper()
		for before := counted; ; before = counted {
			if more := saysAnything(); !more || counted == before {
				return more
			}
		}
	}
	serving := func() (pid int) {
		t.Helper()
		if !saysMore() {
			t.Fatal("the program has ended: ", lines.Err())
		}
		_, said, _ := strings.Cut(lines.Text(), "process ")
		if _, err := fmt.Sscanf(said, "%d serves", &pid); err != nil {
			t.Fatalf("the program says %q", lines.Text())
		}
		return pid
	}
	pid := serving()

	sent, received := uint32(0), map[uint32]bool{}
	b := make([]byte, 16)
	receive := func() {
		t.Helper()
		labtest.Must(t, in.SetReadDeadline(time.Now().Add(patience)))
		if _, err := in.Read(b); err != nil {
			t.Fatalf("after %d datagrams of %d: %v", len(received), sent, err)
		}
		// The last ones of a process may come after the first ones of the next.
		n := binary.BigEndian.Uint32(b)
		if received[n] || n >= sent {
			t.Fatalf("datagram %d came again", n)
		}
		received[n] = true
	}
	pass := func(n int) {
		t.Helper()
		for end := len(received) + n; len(received) < end; receive() {
			for ; int(sent) < len(received)+100; sent++ {
				if _, err := out.Write(binary.BigEndian.AppendUint32(nil, sent)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 5 {
		pass(1000)
		labtest.Must(t, unix.Kill(pid, unix.SIGHUP))
		pass(1000)
		next := serving()
		if next == pid {
			t.Error("the same process goes on")
		}
		pid = next
		pass(1000)
	}
	labtest.Must(t, os.Rename(program, program+".old"))
	labtest.Must(t, unix.Kill(pid, unix.SIGHUP))
	pass(1000)
	if !saysMore() || !strings.Contains(lines.Text(), "go on without an upgrade") {
		t.Errorf("with its file moved away, the program says %q", lines.Text())
	}
	pass(1000)
	for len(received) < int(sent) {
		receive()
	}
	select {
	case err := <-ended:
		labtest.Must(t, err)
	case <-time.After(patience):
		t.Error("the first process does not end")
	}
	// With nothing under way, all that was sent has been judged.
	labtest.Must(t, os.Rename(program+".old", program))
	labtest.Must(t, unix.Kill(pid, unix.SIGHUP))
	pid = serving()
	for counted < 6 && saysAnything() {
	}
	if judged != int(sent) {
		t.Errorf("%d processes have judged %d of %d packets", counted, judged, sent)
	}
	// In the middle of an upgrade that never ends, SIGTERM ends both processes.
	labtest.Must(t, os.WriteFile(program+hangs, nil, 0o600))
	labtest.Must(t, unix.Kill(pid, unix.SIGHUP))
	if !saysMore() || !strings.HasSuffix(lines.Text(), "hangs") {
		t.Fatalf("instead of starting a process that hangs, the program says %q", lines.Text())
	}
	pass(1000)
	labtest.Must(t, unix.Kill(pid, unix.SIGTERM))
	for len(received) < int(sent) {
		receive()
	}
	if !saysMore() || !strings.Contains(lines.Text(), "go on without an upgrade") {
		t.Errorf("while a new process hangs, SIGTERM makes the program say %q", lines.Text())
	}
	for saysMore() { // until the last process has ended
		t.Error(lines.Text())
	}
	labtest.Must(t, lines.Err())
}
