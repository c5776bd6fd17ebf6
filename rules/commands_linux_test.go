// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !kernelmatrix

package rules_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// run runs a shell command in a host.
func run(t *testing.T, h *netlab.Host, line string) string {
	t.Helper()
	out, err := netlab.In(h, exec.Command("sh", "-ec", line).CombinedOutput)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// program is one that printed commands are of.
type program struct {
	name  string
	print func(rules.Rule) ([]string, error)
	queue *regexp.Regexp // what queues in a command
	count string         // what counts packets in its place
	list  string
	reset string
}

var programs = []program{
	{
		"nft", rules.Rule.NFT, regexp.MustCompile(`queue num .*'$`), "counter accept'",
		"nft list ruleset", "nft flush ruleset",
	},
	{
		"iptables", rules.Rule.IPTables, regexp.MustCompile(`-j NFQUEUE .*$`), "-j ACCEPT",
		"iptables-save -c; ip6tables-save -c", "for t in filter raw mangle security; do " +
			"iptables -t $t -F; ip6tables -t $t -F; done",
	},
}

// counted matches a counter of nft, or a rule of iptables-save with its counter.
var counted = regexp.MustCompile(`counter packets (\d+)|(?m)^\[(\d+):\d+\] -A .* -j ACCEPT$`)

// need skips the test without the program.
func (p program) need(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(p.name); err != nil {
		labtest.Must(t, fmt.Errorf("%w: %w", errors.ErrUnsupported, err))
	}
}

// packets returns how many packets were counted.
func (p program) packets(t *testing.T, h *netlab.Host) (packets int) {
	for _, m := range counted.FindAllStringSubmatch(run(t, h, p.list), -1) {
		n, err := strconv.Atoi(m[1] + m[2])
		labtest.Must(t, err)
		packets += n
	}
	return packets
}

// counting puts a counter in the place of the queue, and has ranges of ids end with those that the
// user namespace has.
func (p program) counting(t *testing.T, lines []string) []string {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	labtest.Must(t, err)
	var first, outside, number uint32
	_, err = fmt.Sscan(string(ids), &first, &outside, &number)
	labtest.Must(t, err)
	all := fmt.Sprintf("%d-%d", first, first+number-1)
	counting := make([]string, len(lines))
	for i, l := range lines {
		counting[i] = strings.ReplaceAll(p.queue.ReplaceAllString(l, p.count), "0-4294967294", all)
	}
	return counting
}

// TestCommands runs the commands that rules with sets and negations are printed as, with a counter
// in the place of the queue, and has them match what the rules match that Install makes.
func TestCommands(t *testing.T) {
	n := labtest.Routed(t)
	for _, p := range programs {
		p.need(t)
		for _, c := range matchCases(n) {
			if !strings.Contains(c.rule, ",") && !strings.Contains(c.rule, "not ") ||
				strings.Contains(c.rule, "offload") || strings.Contains(c.rule, "uid 12345") {
				continue // simple, has other rules that accept, or no id in a user namespace
			}
			lines, err := p.print(parse(t, c.rule))
			var lacks *rules.FieldError
			if errors.As(err, &lacks) {
				continue // tested without a kernel
			}
			labtest.Must(t, err)
			t.Run(p.name+" "+c.rule, func(t *testing.T) {
				defer run(t, c.host, p.reset)
				lines := p.counting(t, lines)
				run(t, c.host, strings.Join(lines, "\n"))
				before := p.packets(t, c.host)
				for _, f := range allFlows {
					f.send(t, n)
					after := p.packets(t, c.host)
					got, want := after > before, slices.Contains(c.want, f)
					answered := f.protocol == "tcp" || f == echo || f == stampRequest || f == echo6
					if got != want && (want || !answered) { // answers may match too
						t.Errorf("%+v: matched %v, want %v\n%q", f, got, want, lines)
					}
					before = after
				}
			})
		}
	}
}

// TestFragmentCommands: the commands for ports match the first fragment, and no later one.
func TestFragmentCommands(t *testing.T) {
	n := labtest.Routed(t)
	ports := []byte{0x00, 0x35, 0x13, 0x89, 0, 8, 0, 0} // 53, 5001
	for _, p := range programs {
		p.need(t)
		for _, rule := range []string{
			"forward udp sport 53", "forward udp dport 4000-5001", "forward udp not sport 54 dport 5001",
			"forward tcp sport 53", "forward tcp port 5001",
		} {
			r := parse(t, rule)
			lines, err := p.print(r)
			labtest.Must(t, err)
			lines = p.counting(t, lines)
			for family, e := range families(n) {
				t.Run(p.name+" "+rule+" "+family, func(t *testing.T) {
					defer run(t, n.Middle, p.reset)
					run(t, n.Middle, strings.Join(lines, "\n"))
					from, to := e.from.Addr(), e.to.Addr()
					for _, offset := range []uint16{0x101, 0} {
						sendRaw(t, n.Client, to, fragment(from, to, r.Protocol, offset, true, ports))
					}
					u, v := e.anew(2000).datagrams(t, n)
					if _, err := u.Write(plain); err != nil { // behind them
						t.Fatal(err)
					}
					wantReceived(t, v, plain)
					if got := p.packets(t, n.Middle); got != 1 {
						t.Errorf("%d fragments matched, want 1\n%q", got, lines)
					}
				})
			}
		}
	}
}

// TestOffloadCommands: as TestOffloadPortsAgainBehind, with the iptables of both kinds.
func TestOffloadCommands(t *testing.T) {
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "lock")) // of iptables-legacy
	for _, kind := range []string{"nft", "legacy"} {
		t.Run(kind, func(t *testing.T) {
			p := program{name: "iptables-" + kind}
			p.need(t)
			n := labtest.Routed(t)
			_, err := netlab.In(n.Middle, exec.Command(p.name, "-t", "mangle", "-S").Output)
			if err != nil {
				t.Skipf("this kernel has no %s: %v", p.name, err)
			}
			for _, rule := range []string{
				"prerouting tcp port 2000 offload noreject priority -150",
				"forward tcp port 2000 offload",
				"forward tcp port 2000 offload noreject priority 50",
			} {
				t.Run(rule, func(t *testing.T) {
					n := labtest.Routed(t)
					r := parse(t, rule)
					lines, err := r.IPTables()
					labtest.Must(t, err)
					for i := range lines {
						lines[i] = strings.Replace(lines[i], "tables -t", "tables-"+kind+" -t", 1)
					}
					run(t, n.Middle, strings.Join(lines, "\n"))
					usePortsAgain(t, n, r.Offload)
				})
			}
		})
	}
}

// TestSenderCommands: what the kernel sends by itself has no sender, and so no other one.
func TestSenderCommands(t *testing.T) {
	n := labtest.Pair(t)
	for _, p := range programs {
		p.need(t)
		for rule, want := range map[string]int{
			"out tcp": 1, "out tcp not uid 0": 0, "out tcp not gid 0": 0,
			"out tcp not uid 0 not gid 0": 0, "out tcp not uid 0 gid 0": 0,
		} {
			lines, err := p.print(parse(t, rule))
			labtest.Must(t, err)
			t.Run(p.name+" "+rule, func(t *testing.T) {
				lines := p.counting(t, lines)
				defer run(t, n.Server, p.reset)
				run(t, n.Server, strings.Join(lines, "\n"))
				_, err := netlab.In(n.Client, func() (net.Conn, error) {
					return net.Dial("tcp", netip.AddrPortFrom(n.Server4, 2000).String())
				})
				if !errors.Is(err, unix.ECONNREFUSED) {
					t.Fatal(err)
				}
				if got := p.packets(t, n.Server); got != want {
					t.Errorf("%d packets matched, want %d\n%q", got, want, lines)
				}
			})
		}
	}
}

// TestCgroupCommands runs the commands for a control group, and counts in the place of queueing. nft
// looks for control groups at /sys/fs/cgroup.
func TestCgroupCommands(t *testing.T) {
	c := newCgroups(t)
	n := labtest.Routed(t)
	inner := c.path + inCgroup
	within := map[string]bool{c.path: true, inner: true}
	outside := map[string]bool{"/": true, c.path: true}
	for _, p := range programs {
		for _, rule := range []struct {
			host *netlab.Host
			rule string
			want map[string]bool
		}{
			{n.Client, "out udp dport 2000 cgroup " + c.path, within},
			{n.Client, "out udp not cgroup " + inner, outside},
			{n.Server, "in udp not cgroup " + inner, outside},
		} {
			lines, err := p.print(parse(t, rule.rule))
			if p.name == "iptables" && rule.host == n.Server {
				continue
			}
			labtest.Must(t, err)
			t.Run(p.name+" "+rule.rule, func(t *testing.T) {
				p.need(t)
				script := withCgroups(p.counting(t, lines))
				run(t, rule.host, script)
				defer run(t, rule.host, p.reset)
				for family, e := range families(n) {
					for _, group := range []string{"/", c.path, inner} {
						before := p.packets(t, rule.host)
						c.in(t, group, func() {
							u, v := e.anew(2000).datagrams(t, n)
							defer u.Close()
							defer v.Close()
							if _, err := u.Write(plain); err != nil {
								t.Fatal(err)
							}
							receive(t, v)
						})
						if got := p.packets(t, rule.host) > before; got != rule.want[group] {
							t.Errorf("%s, in %s: matched %v\n%s", family, group, got, script)
						}
					}
				}
			})
		}
	}
}

// TestCgroupInvalidSYNCommands: as TestCgroupInvalidSYN, with commands.
func TestCgroupInvalidSYNCommands(t *testing.T) {
	c := newCgroups(t)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			p.need(t)
			n := labtest.Routed(t)
			lines, err := p.print(parse(t, "out tcp dport 2000 not cgroup "+c.path+" offload"))
			labtest.Must(t, err)
			run(t, n.Client, withCgroups(p.counting(t, lines)))
			sendInvalidSYNs(t, c, n)
		})
	}
}

// withCgroups returns a shell command that runs others where nft looks for control groups.
func withCgroups(lines []string) string {
	script := "mount -t cgroup2 none /sys/fs/cgroup\n" + strings.Join(lines, "\n")
	return "unshare -m sh -ec " + shellQuote(script)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
