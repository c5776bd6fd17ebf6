// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// cgroups is a control group of a test.
type cgroups struct{ root, path, own string }

// inCgroup is a name as systemd makes it of what has a "-" in it.
const inCgroup = `/b\x2d`

// newCgroups makes a control group with another one in it. It ends with the test.
func newCgroups(t *testing.T) *cgroups {
	t.Helper()
	labtest.Need(t)
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil ||
		strings.Fields(string(m))[2] == "1" {
		t.Skip("control groups are made by root only")
	}
	if !labtest.AtLeast(t, 5, 13) {
		t.Skip("nf_tables matches no control groups before Linux 5.13")
	}
	c := &cgroups{root: t.TempDir(), path: "/nfqueue-" + strconv.Itoa(os.Getpid())}
	labtest.Must(t, unix.Mount("none", c.root, "cgroup2", 0, ""))
	t.Cleanup(func() { labtest.Must(t, unix.Unmount(c.root, 0)) })
	groups, err := os.ReadFile("/proc/self/cgroup")
	labtest.Must(t, err)
	for line := range strings.Lines(string(groups)) {
		if own, ok := strings.CutPrefix(line, "0::"); ok {
			c.own = strings.TrimSpace(own)
		}
	}
	for _, path := range []string{c.path, c.path + inCgroup} {
		labtest.Must(t, os.Mkdir(filepath.Join(c.root, path), 0o700))
		t.Cleanup(func() { labtest.Must(t, os.Remove(filepath.Join(c.root, path))) })
	}
	return c
}

// in does something with the process in a control group.
func (c *cgroups) in(t *testing.T, path string, do func()) {
	t.Helper()
	move := func(path string) {
		procs := filepath.Join(c.root, path, "cgroup.procs")
		labtest.Must(t, os.WriteFile(procs, []byte("0"), 0))
	}
	move(path)
	defer move(c.own)
	do()
}

// TestCgroup has sockets in control groups send and receive.
func TestCgroup(t *testing.T) {
	c := newCgroups(t)
	n := labtest.Routed(t)
	inner := c.path + inCgroup
	for _, rule := range []struct {
		host *netlab.Host
		rule string
		want map[string]bool // by where the sockets are
	}{
		{n.Client, "out cgroup " + c.path, map[string]bool{c.path: true, inner: true}},
		{n.Client, "out cgroup " + inner, map[string]bool{inner: true}},
		{n.Client, "out not cgroup " + c.path, map[string]bool{"/": true}},
		{n.Client, "out not cgroup " + inner, map[string]bool{"/": true, c.path: true}},
		{n.Server, "in cgroup " + inner, map[string]bool{inner: true}},
		{n.Server, "in not cgroup " + inner, map[string]bool{"/": true, c.path: true}},
		{n.Server, "prerouting cgroup " + c.path, map[string]bool{c.path: true, inner: true}},
		{n.Server, "prerouting not cgroup " + c.path, map[string]bool{"/": true}},
	} {
		t.Run(rule.rule, func(t *testing.T) {
			labtest.Install(t, rule.host, rule.rule+" udp dport 2000,2001", rule.rule+" tcp not port 7")
			rewrite(t, rule.host, 0)
			for family, e := range families(n) {
				for _, group := range []string{"/", c.path, inner} {
					want := plain
					if rule.want[group] {
						want = queued
					}
					c.in(t, group, func() {
						u, v := e.anew(2000).datagrams(t, n)
						defer u.Close()
						defer v.Close()
						if _, err := u.Write(plain); err != nil {
							t.Fatal(err)
						}
						if got := receive(t, v); !bytes.Equal(got, want) {
							t.Errorf("%s, UDP in %s: received %q", family, group, got)
						}
						if got := overTCP(t, n, e.anew(2001)); !bytes.Equal(got, want) {
							t.Errorf("%s, TCP in %s: received %q", family, group, got)
						}
					})
				}
			}
		})
	}
}

// overTCP has a TCP connection carry plain, and returns what the server received.
func overTCP(t *testing.T, n *netlab.Network, e ends) []byte {
	t.Helper()
	client, server, err := e.stream(t, n)
	labtest.Must(t, err)
	defer server.Close()
	defer client.Close()
	if _, err := client.Write(plain); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(plain))
	if _, err := server.Read(got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCgroupOrder: what a rule does not match because of its control group meets the next one.
func TestCgroupOrder(t *testing.T) {
	c := newCgroups(t)
	h := labtest.Host(t)
	labtest.Install(t, h, "out udp not cgroup "+c.path+" queue 1", "out udp queue 0")
	rewrite(t, h, 0)
	for group, want := range map[string][]byte{c.path: queued, "/": plain} {
		c.in(t, group, func() {
			l := listenUDP(t, h, netip.AddrPortFrom(loopback, 0))
			sendUDP(t, l, l, plain)
			wantReceived(t, l, want)
		})
	}
}

// TestCgroupInvalidSYN: as TestOffloadInvalidSYN, for all SYN but those of a control group.
func TestCgroupInvalidSYN(t *testing.T) {
	c := newCgroups(t)
	n := labtest.Routed(t)
	labtest.Install(t, n.Client, "out tcp dport 2000 not cgroup "+c.path+" offload")
	sendInvalidSYNs(t, c, n)
}

// sendInvalidSYNs has the client send SYN, which conntrack takes for invalid there, from several
// control groups. The server receives those of the groups that the rule excludes.
func sendInvalidSYNs(t *testing.T, c *cgroups, n *netlab.Network) {
	t.Helper()
	labtest.Install(t, n.Client, "in tcp sport 2000 offload")
	serve(t, n.Client, 0, on("fine", rules.DefaultOffload.Accept))
	server := labtest.Chain(t, n.Server, netlab.Inet, netlab.Input, 0)
	client := labtest.Chain(t, n.Client, netlab.Inet, netlab.Output, -300)
	for name, e := range families(n) {
		for _, group := range []string{"/", c.path, c.path + inCgroup} {
			e := e.anew(2000)
			ofClient := []netlab.Expr{netlab.L4Proto(unix.IPPROTO_TCP), netlab.SrcPort(e.from.Port()),
				netlab.Counter(), netlab.Drop()}
			arrived := labtest.Rule(t, server, ofClient...)
			reset := labtest.Rule(t, client, ofClient...)
			ack := nfqueuetest.TCPHeader{Flags: nfqueuetest.ACK, Seq: 1, Ack: 1}
			sendRaw(t, n.Server, e.from.Addr(), nfqueuetest.TCP(e.to, e.from, ack, []byte("fine")))
			awaitCount(t, reset)
			labtest.Must(t, reset.Delete())
			c.in(t, group, func() {
				syn := nfqueuetest.TCPHeader{Flags: nfqueuetest.SYN, Seq: 1000}
				err := trySendRaw(n.Client, e.to.Addr(), nfqueuetest.TCP(e.from, e.to, syn, nil))
				if group != "/" {
					labtest.Must(t, err)
					awaitCount(t, arrived)
				} else if packets, _, _ := arrived.Count(); !errors.Is(err, unix.EPERM) || packets != 0 {
					t.Errorf("%s: the SYN was sent, %v", name, err)
				}
			})
		}
	}
}

// TestCgroupReplaced: rules that go leave no chain of theirs behind, and others take their place.
func TestCgroupReplaced(t *testing.T) {
	c := newCgroups(t)
	h := labtest.Host(t)
	set := labtest.Install(t, h, "out udp not cgroup "+c.path, "out tcp")
	f, err := set.File()
	labtest.Must(t, err)
	defer f.Close()
	next, err := rules.OpenFile(f, rules.Config{NetNS: h.FD()}, parse(t, "out udp cgroup "+c.path))
	labtest.Must(t, err)
	labtest.Must(t, set.Release())
	rewrite(t, h, 0)
	l := listenUDP(t, h, netip.AddrPortFrom(loopback, 2000))
	sendUDP(t, l, l, plain)
	wantReceived(t, l, plain)
	labtest.Must(t, next.Close())
}

func TestCgroupErrors(t *testing.T) {
	newCgroups(t)
	h := labtest.Host(t)
	_, err := rules.Install(rules.Config{NetNS: h.FD()}, parse(t, "out cgroup /no.slice"))
	if !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "no control group /no.slice") {
		t.Error(err)
	}
}
