// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// datagram is one that a program of docs/migration.md decides.
type datagram struct {
	text string
	six  bool // over IPv6
	mark int
	lost bool // dropped by the program
}

// migrated are the programs of docs/migration.md that can be built here, in their order, and what
// they do.
var migrated = []struct {
	name  string
	marks bool // they set the mark 7 on packets that they accept
	sends []datagram
}{
	{"cgo nfqueue-go before", false, []datagram{{text: "plain"}}},
	{"cgo nfqueue-go after", false, []datagram{{text: "plain"}}},
	{"libnetfilter_queue before", true, []datagram{{text: "six", six: true, lost: true},
		{text: "plain"}}},
	{"libnetfilter_queue after", true, []datagram{{text: "six", six: true, lost: true},
		{text: "plain"}}},
	{"go-nfqueue after", true, []datagram{{text: "marked", mark: 7, lost: true}, {text: "plain"}}},
	{"NetfilterQueue after", true, []datagram{{text: "a secret", lost: true}, {text: "plain"}}},
}

// TestMigration runs the programs of docs/migration.md. Those from before and after the move do the
// same.
func TestMigration(t *testing.T) {
	if refused != nil {
		lack(t, refused)
	}
	if err := netlab.Check(); err != nil {
		lack(t, err)
	}
	all := documents(t)
	d := all[slices.IndexFunc(all, func(d document) bool { return d.name == "docs/migration.md" })]
	var programs []block
	for _, b := range d.blocks {
		if b.lang == "go" && !b.has(markCompiledIn) && !b.has(markStatements) || isC(b) {
			programs = append(programs, b)
		}
	}
	if len(programs) != len(migrated) {
		t.Fatalf("found %d programs, want %d", len(programs), len(migrated))
	}
	for i, c := range migrated {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			migrate(t, programs[i], c.marks, c.sends)
		})
	}
}

func isC(b block) bool { return b.lang == "c" }

func migrate(t *testing.T, b block, marks bool, sends []datagram) {
	program := buildProgram(t, b)
	n, err := netlab.NewPair()
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	const udp, port = 17, 4000
	queued := []netlab.Expr{netlab.L4Proto(udp), netlab.DstPort(port)}
	addRules(t, n.Client, "before", netlab.Output, append(queued, netlab.ToQueue(netlab.Queue{})))
	if marks {
		addRules(t, n.Client, "behind", netlab.Postrouting,
			[]netlab.Expr{netlab.Mark(7), netlab.Accept()}, append(queued, netlab.Drop()))
	}
	to, err := netlab.In(n.Server, func() (*net.UDPConn, error) { return net.ListenUDP("udp", &net.UDPAddr{Port: port}) })
	must(t, err)
	t.Cleanup(func() { to.Close() })
	from, err := netlab.In(n.Client, func() (*net.UDPConn, error) { return net.ListenUDP("udp", nil) })
	must(t, err)
	t.Cleanup(func() { from.Close() })

	runUntilBound(t, n.Client, exec.Command(program))
	for _, s := range sends {
		at := n.Server4
		if s.six {
			at = n.Server6
		}
		setMark(t, from, s.mark)
		_, err := from.WriteToUDPAddrPort([]byte(s.text), netip.AddrPortFrom(at, port))
		must(t, err)
	}
	must(t, to.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, 100)
	for _, s := range sends {
		if s.lost {
			continue
		}
		length, err := to.Read(got)
		must(t, err)
		if string(got[:length]) != s.text {
			t.Errorf("%q arrives, want %q", got[:length], s.text)
		}
	}
}

// buildProgram builds the program in a block.
func buildProgram(t *testing.T, b block) string {
	t.Helper()
	if !isC(b) {
		m := newModule(t)
		m.add("program", "main.go", b.text)
		m.run("build", "-o", "binary", "./program")
		return filepath.Join(m.dir, "binary")
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		lack(t, err, "; it is in Debian's package gcc, and the library in libnetfilter-queue-dev")
	}
	dir := t.TempDir()
	var headers strings.Builder
	for _, h := range []string{"stddef.h", "stdint.h", "arpa/inet.h", "sys/socket.h",
		"linux/netlink.h", "linux/netfilter.h", "libnetfilter_queue/libnetfilter_queue.h"} {
		headers.WriteString("#include <" + h + ">\n")
	}
	must(t, os.WriteFile(filepath.Join(dir, "main.c"), []byte(headers.String()+b.text), 0o644))
	cmd := exec.Command(compiler, "-Wall", "-Werror", "-o", "binary", "main.c", "-lnetfilter_queue")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", b.where, err, out)
	}
	return filepath.Join(dir, "binary")
}

// addRules adds a chain with rules.
func addRules(t *testing.T, h *netlab.Host, name string, hook netlab.Hook, rules ...[]netlab.Expr) {
	t.Helper()
	table, err := h.AddTable(netlab.Inet, name)
	must(t, err)
	chain, err := table.AddChain("base", hook, 0, netlab.PolicyAccept)
	must(t, err)
	for _, r := range rules {
		_, err := chain.AddRule(r...)
		must(t, err)
	}
}

// runUntilBound starts a program in a host and returns when it has bound its queue. The program is
// killed when the test ends.
func runUntilBound(t *testing.T, h *netlab.Host, cmd *exec.Cmd) {
	t.Helper()
	var output bytes.Buffer // to be read when it has ended
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, h.Do(cmd.Start))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	for end := time.Now().Add(patience); time.Now().Before(end); {
		table, err := netlab.In(h, func() ([]byte, error) {
			return os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
		})
		must(t, err)
		// Whole packets are copied, as the last call of each of them asks for.
		if f := bytes.Fields(table); len(f) > 3 && string(f[3]) == "2" {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the program has ended: %v\n%s", err, &output)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("the program has not bound its queue")
}

// setMark sets the mark of the packets that a socket sends.
func setMark(t *testing.T, c *net.UDPConn, mark int) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	var failed error
	must(t, raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
	}))
	must(t, failed)
}
