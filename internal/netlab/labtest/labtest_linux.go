// SPDX-License-Identifier: GPL-2.0-or-later

package labtest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

// requireEnv, when 1, makes a test fail that would be skipped because the kernel or privileges are
// missing.
const requireEnv = "NFQUEUE_REQUIRE_KERNEL"

var check = sync.OnceValue(netlab.Check)

// Need skips the test if the process cannot queue packets in namespaces of its own: without
// privileges, without NFQUEUE in the kernel, or without a rule for it. With the environment
// variable NFQUEUE_REQUIRE_KERNEL=1 the test fails instead. The package's TestMain must call Main.
func Need(tb testing.TB) {
	tb.Helper()
	if refused != nil {
		lack(tb, refused)
	}
	err := check()
	if errors.Is(err, fs.ErrPermission) {
		lack(tb, err)
	}
	Must(tb, err)
}

// Must ends the test unless err is nil: as Need does if err says that the kernel lacks something
// (errors.ErrUnsupported), as a failure otherwise.
func Must(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errors.ErrUnsupported):
		lack(tb, err)
	default:
		tb.Fatal(err)
	}
}

func lack(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv(requireEnv) == "1" {
		tb.Fatalf("%v (%s=1 forbids to skip)", err, requireEnv)
	}
	tb.Skip(err)
}

// NetNS opens the network namespace of a host until the test ends.
func NetNS(tb testing.TB, h *netlab.Host) *os.File {
	tb.Helper()
	fd, err := unix.FcntlInt(uintptr(h.FD()), unix.F_DUPFD_CLOEXEC, 0)
	Must(tb, err)
	f := os.NewFile(uintptr(fd), "netns")
	tb.Cleanup(func() { Must(tb, f.Close()) })
	return f
}

var replaces = sync.OnceValues(netlab.ReplacesPayload)

// Replaces reports whether verdicts can replace payloads here, see netlab.ReplacesPayload.
func Replaces(tb testing.TB) bool {
	tb.Helper()
	Need(tb)
	ok, err := replaces()
	Must(tb, err)
	return ok
}

// NeedReplace skips the test if the kernel drops packets with a replaced payload on purpose.
func NeedReplace(tb testing.TB) {
	tb.Helper()
	if !Replaces(tb) {
		tb.Skip("this kernel drops packets with a replaced payload in user namespaces")
	}
}

// Host makes a host with lo. Like the other constructors it calls Need, and it closes the host when
// the test ends.
func Host(tb testing.TB) *netlab.Host { tb.Helper(); return build(tb, netlab.New) }

// Pair makes client and server on a veth pair, see netlab.NewPair.
func Pair(tb testing.TB) *netlab.Network { tb.Helper(); return build(tb, netlab.NewPair) }

// Routed makes client, router and server, see netlab.NewRouted.
func Routed(tb testing.TB) *netlab.Network { tb.Helper(); return build(tb, netlab.NewRouted) }

// Bridged makes client, bridge and server, see netlab.NewBridged.
func Bridged(tb testing.TB) *netlab.Network { tb.Helper(); return build(tb, netlab.NewBridged) }

// Zones makes two networks with the same addresses and one router, see netlab.NewZones.
func Zones(tb testing.TB) netlab.Zones { tb.Helper(); return build(tb, netlab.NewZones) }

func build[T io.Closer](tb testing.TB, construct func() (T, error)) T {
	tb.Helper()
	Need(tb)
	thing, err := construct()
	Must(tb, err)
	tb.Cleanup(func() {
		if err := thing.Close(); err != nil {
			tb.Error(err)
		}
	})
	return thing
}

// tables numbers the tables, so that a test can have several in one host.
var tables atomic.Uint64

// Chain makes a table with one base chain, which accepts the packets that no rule decides.
func Chain(
	tb testing.TB, h *netlab.Host, family netlab.Family, hook netlab.Hook, priority int32,
) *netlab.Chain {
	tb.Helper()
	table, err := h.AddTable(family, "t"+strconv.FormatUint(tables.Add(1), 10))
	Must(tb, err)
	chain, err := table.AddChain("base", hook, priority, netlab.PolicyAccept)
	Must(tb, err)
	return chain
}

// Rule appends a rule to a chain.
func Rule(tb testing.TB, c *netlab.Chain, exprs ...netlab.Expr) *netlab.Rule {
	tb.Helper()
	rule, err := c.AddRule(exprs...)
	Must(tb, err)
	return rule
}
