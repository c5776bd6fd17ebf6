// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	randomTime = flag.Duration("random", 0, "compare random filters with libpcap for this `TIME`")
	randomSeed = flag.Uint64("seed", 1, "the first `SEED` of random filters")
)

// randomFilters is the number of random filters without the flag -random.
const randomFilters = 20000

// libpcap is a process that matches filters with libpcap.
type libpcap struct {
	in  *bufio.Writer
	out *bufio.Scanner
}

// newLibpcap starts a process with packets of a link type. Without libpcap and a compiler the test
// is skipped, or fails with NFQUEUE_REQUIRE_KERNEL=1.
func newLibpcap(tb testing.TB, program, link string, header int, packets []Packet) *libpcap {
	tb.Helper()
	cmd := exec.Command(program, link)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			tb.Errorf("libpcap: %v", err)
		}
	})
	l := &libpcap{bufio.NewWriter(in), bufio.NewScanner(out)}
	l.out.Buffer(nil, 1<<20)
	for _, p := range packets {
		var link string
		if header > 0 {
			link = fmt.Sprintf("%024x%04x", 0, p.EtherType)
		}
		fmt.Fprintf(l.in, "packet %d %s%x\n", p.Length+header, link, p.Data)
	}
	return l
}

// match returns the answers for some filters.
func (l *libpcap) match(tb testing.TB, filters ...string) []string {
	tb.Helper()
	for _, f := range filters {
		fmt.Fprintf(l.in, "filter %s\n", f)
	}
	fmt.Fprintln(l.in, ".")
	if err := l.in.Flush(); err != nil {
		tb.Fatal(err)
	}
	answers := make([]string, len(filters))
	for i := range answers {
		if !l.out.Scan() {
			tb.Fatalf("libpcap ended: %v", l.out.Err())
		}
		answers[i] = l.out.Text()
	}
	return answers
}

func buildLibpcap(tb testing.TB) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "libpcap")
	build := exec.Command("cc", "-O2", "-o", program, "testdata/libpcap.c", "-lpcap")
	out, err := build.CombinedOutput()
	if err == nil {
		return program
	}
	if os.Getenv("NFQUEUE_REQUIRE_KERNEL") == "1" {
		tb.Fatalf("%v (NFQUEUE_REQUIRE_KERNEL=1 forbids to skip)\n%s", err, out)
	}
	tb.Skipf("no libpcap to compare with: %v\n%s", err, out)
	return ""
}

// answer is what this package says about a filter, in the form of libpcap.match.
func answer(filter string, names names, packets []Packet) (string, error) {
	f, err := compile(filter, names)
	if err != nil {
		return "", err
	}
	digits := make([]byte, len(packets))
	for i, p := range packets {
		digits[i] = '0'
		if f.Match(p) {
			digits[i] = '1'
		}
	}
	return string(digits), nil
}

// TestLibpcap compares random filters with libpcap, over packets without and with a link-layer
// protocol. What differs is listed in docs/dump.md.
func TestLibpcap(t *testing.T) {
	program := buildLibpcap(t)
	for _, c := range []struct {
		link    string
		header  int
		packets []Packet
	}{
		{"RAW", 0, rawPackets(t)},
		{"EN10MB", 14, bridgedPackets(t)},
	} {
		t.Run(c.link, func(t *testing.T) {
			t.Parallel()
			theirs := newLibpcap(t, program, c.link, c.header, c.packets)
			var compared, refused int
			stop := time.Now().Add(*randomTime)
			more := func() bool {
				if *randomTime > 0 {
					return time.Now().Before(stop)
				}
				return compared < randomFilters
			}
			for seed := *randomSeed; more() && !t.Failed(); seed++ {
				g := generator{Rand: rand.New(rand.NewPCG(seed, 0)), lengths: c.header == 0}
				filters := make([]string, 500)
				for i := range filters {
					filters[i] = g.filter()
				}
				for i, want := range theirs.match(t, filters...) {
					compared++
					if strings.HasPrefix(want, "error") {
						refused++
					}
					if differs := compare(filters[i], want, c.packets); differs != "" {
						t.Errorf("seed %d: %s: %s", seed, filters[i], differs)
					}
				}
			}
			t.Logf("%d filters, %d of them refused, over %d packets",
				compared, refused, len(c.packets))
		})
	}
}

// testNames asks no name server.
var testNames = names{
	hosts: func(host string) ([]netip.Addr, error) {
		if host != "localhost" {
			return nil, errors.New("no such host")
		}
		return lookUpHosts(host)
	},
	port: systemNames.port, protocol: systemNames.protocol,
}

// compare says how this package and libpcap differ, empty if they do not.
func compare(filter, want string, packets []Packet) string {
	got, err := answer(filter, testNames, packets)
	reason, refused := strings.CutPrefix(want, "error ")
	switch {
	case err != nil && refused:
		return ""
	case err != nil:
		if refusedOnPurpose(err) {
			return ""
		}
		return fmt.Sprintf("libpcap accepts it; %v", err)
	case refused:
		for _, word := range []string{
			"division by zero", "modulus by zero", "shift by more than 31", "too many registers",
		} {
			if strings.Contains(reason, word) {
				return ""
			}
		}
		return "libpcap refuses it: " + reason
	}
	for i := range packets {
		if got[i] != want[i] {
			return fmt.Sprintf("packet %d of %d bytes, %x: got %c, want %c",
				i, packets[i].Length, packets[i].Data, got[i], want[i])
		}
	}
	return ""
}

// rangeWithMore is a range of ports of which libpcap reads the beginning.
var rangeWithMore = regexp.MustCompile(`^[0-9]+-[0-9]+[^0-9]`)

// refusedOnPurpose reports whether libpcap accepts what the error refuses, for a reason that
// docs/dump.md gives.
func refusedOnPurpose(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if rangeWithMore.MatchString(e.Word) {
		return true
	}
	for _, why := range notHere {
		if e.Why == why {
			return true
		}
	}
	for _, part := range []string{
		"packets have no link layer here", "a protocol is 255 at most", "expected = < or >; for others",
		"nested too deeply",
	} {
		if strings.Contains(e.Why, part) {
			return true
		}
	}
	return false
}

// generator makes random filters.
type generator struct {
	*rand.Rand
	lengths bool   // whether lengths may occur: libpcap counts the link-layer header
	wild    bool   // whether the filter may have mistakes
	last    string // of which type an id can be here without qualifiers, empty for none
}

func (g *generator) one(of ...string) string { return of[g.IntN(len(of))] }

// oneOf returns one of the words, or of the wrong ones.
func (g *generator) oneOf(words, wrong string) string {
	if g.wild && g.chance(4) {
		words = wrong
	}
	return strings.TrimSpace(g.one(strings.Split(words, ",")...))
}

// chance is true with a probability of one in n.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

// filter makes a filter.
func (g *generator) filter() string {
	g.last, g.wild = "", g.chance(4)
	words := strings.Fields(g.expression(3))
	if g.wild && g.chance(2) {
		words = g.mistake(words)
	}
	text := strings.Join(words, " ")
	if g.chance(3) { // some blanks are not needed
		for _, operator := range strings.Split("()[]:&|=<>+/*%^!", "") {
			if g.chance(2) {
				text = strings.ReplaceAll(text, " "+operator, operator)
			}
			if g.chance(2) {
				text = strings.ReplaceAll(text, operator+" ", operator)
			}
		}
	}
	if g.wild && g.chance(3) {
		i := g.IntN(len(text) + 1)
		typed := printable[g.IntN(len(printable))]
		text = text[:i] + string(typed) + text[min(len(text), i+g.IntN(2)):]
	}
	if !g.lengths && linkOffsets.MatchString(text) { // by a mistake
		return g.filter()
	}
	return text
}

// printable are characters to mistype. A backslash before an address makes a name of it, which
// getaddrinfo reads in more forms than Go.
const printable = ` !"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~`

// linkOffsets are the words for which libpcap counts the link-layer header.
var linkOffsets = regexp.MustCompile(`len|less|greater|byte`)

// mistake changes a word.
func (g *generator) mistake(words []string) []string {
	i := g.IntN(len(words))
	switch g.IntN(4) {
	case 0:
		return append(words[:i:i], words[i+1:]...)
	case 1:
		return append(words[:i+1:i+1], words[i:]...)
	case 2:
		j := g.IntN(len(words))
		words[i], words[j] = words[j], words[i]
		return words
	}
	extra := g.one(strings.Fields(`( ) not and or port host net proto tcp ip ip6 src dst 80 192.0.2.1
		10 len [ ] = - + mask less portrange 2001:db8::1 multicast arp / 24 % ^ byte gateway http
		tcp-syn 1-1023 ! & | : 0x10 != greater`)...)
	return append(append(words[:i:i], extra), words[i:]...)
}

func (g *generator) expression(depth int) string {
	text := g.part(depth)
	for !g.chance(2) {
		text += " " + g.one("and", "or", "&&", "||") + " "
		if g.last != "" && g.chance(3) {
			text += g.ids(g.last, depth)
		} else {
			text += g.part(depth)
		}
	}
	return text
}

func (g *generator) part(depth int) string {
	switch {
	case depth > 0 && g.chance(4):
		last := g.last
		text := "( " + g.expression(depth-1) + " )"
		g.last = last // an id behind the group gets the qualifiers of what is before it
		return text
	case g.chance(6):
		return g.one("not", "!") + " " + g.part(depth)
	case g.chance(3):
		g.last = ""
		comparison := g.one("=", "==", "!=", "<", ">", "<=", ">=")
		return g.arithmetic(depth) + " " + comparison + " " + g.arithmetic(depth)
	}
	g.last = ""
	return g.primitive(depth)
}

func (g *generator) protocol() string {
	return g.oneOf("ip,ip6,tcp,udp,sctp,icmp,icmp6,igmp,igrp,pim,vrrp,carp,ah,esp,arp,rarp",
		"ppp,radio,host")
}

func (g *generator) primitive(depth int) string {
	switch g.IntN(12) {
	case 0, 1:
		return g.protocol()
	case 2:
		if g.lengths {
			return g.one("less ", "greater ") + g.one("20", "28", "40", "60", "0x40", "100", "1000")
		}
	case 3:
		return g.oneOf("ip multicast,ip6 multicast",
			"multicast,broadcast,ip broadcast,tcp multicast")
	case 4:
		if g.lengths {
			offset := g.one("0", "6", "9", "20", "40", "0x200")
			return "byte " + offset + g.one(" = ", " < ", " > ") + g.constant()
		}
	}
	typ := g.one("host", "host", "net", "port", "port", "port", "portrange", "proto", "")
	proto := ""
	switch typ {
	case "port", "portrange":
		proto = g.oneOf(",tcp,udp,sctp", "ip,ah,arp")
	case "proto":
		proto = g.oneOf(",ip,ip6", "tcp,arp")
	default:
		proto = g.oneOf(",,ip,ip,arp,rarp", "ip6,tcp")
		if g.chance(3) {
			proto = "ip6"
			typ = strings.TrimSuffix(typ, "6") + "6"
		}
	}
	direction := ""
	if typ == "" || typ == "6" || typ != "proto" && g.chance(2) {
		direction = g.one("src", "dst", "src or dst", "dst or src", "src and dst", "dst && src")
	}
	g.last = typ
	if typ == "" || typ == "6" {
		g.last = "host" + typ
	}
	return proto + " " + direction + " " + strings.TrimSuffix(typ, "6") + " " + g.ids(g.last, depth)
}

// ids makes an id, or a list of some.
func (g *generator) ids(typ string, depth int) string {
	switch {
	case g.wild && g.chance(10):
		typ = g.one("host", "port", "net", "portrange", "proto") // may not fit what is before it
	case depth > 0 && g.chance(6):
		text := "( " + g.id(typ)
		for !g.chance(2) {
			text += " " + g.one("and", "or") + " " + g.ids(typ, depth-1)
		}
		return text + " )"
	case g.chance(12):
		return g.one("not", "!") + " " + g.ids(typ, depth)
	}
	return g.id(typ)
}

func (g *generator) id(typ string) string {
	switch typ {
	case "port":
		return g.oneOf(`53,80,443,0x35,0120,7,40000,65535,domain,(80),tcp-syn`,
			`65536,no-such-service,80-90,syslog,ssh,ftp-data,ntp,http`)
	case "portrange":
		return g.oneOf(`1-1023,50-60,443-53,80,0-65535,40000-50000,domain-53,53-http,ssh-syslog,7-7,
			080-0443`, `http,80-70000,ftp-ssh`)
	case "proto":
		return g.oneOf(`6,17,1,58,44,50,51,132,0,255,\tcp,\udp,\icmp,gre,ospf,ipv6-icmp,\sctp,0x11,
			\ah,UDP,IPv6`,
			`256,300,tcp,no-such-protocol`)
	case "net":
		return g.oneOf(`192.0.2.0/24,192.0.2.0/23,10.0.0.0/8,10,10.1,10.1.2,0.0.0.0/0,0,192.0.2.1,
			192.0.2.0,192.0.2,0xc00002,3221225985,10.1/16,2560,192.0.2.0 mask 255.255.255.0,
			192.0.2 mask 255.255.255.0,10.0.2.0 mask 255.0.255.0`,
			`192.0.2.1/24,192.0.2.0/33,10 / 8,256.1,loopback-net,2001:db8::/32`)
	case "net6":
		return g.oneOf(`2001:db8::/32,2001:db8:1::/48,::/0,2001:db8::1,fe80::/10,ff02::/16`,
			`2001:db8::1/64,2001:db8::/129,10`)
	case "host6":
		return g.oneOf(`2001:db8::1,2001:db8:1::1,fe80::1,ff02::1,::,::1,::ffff:192.0.2.1,localhost,
			2001:db8::1/128`, `10,2001:db8::/32`)
	}
	return g.oneOf(`192.0.2.1,192.0.2.2,198.51.100.1,10.1.2.3,224.0.0.251,localhost,10.1,192.0.2,10,
		3221225985,010.1.2.3`,
		`192.0.2.1/32,192.0.2.0/24,02:00:00:00:00:01,1.2.3.256,0200.0000.0001,no-such-host,
		2001:db8::1`)
}

func (g *generator) constant() string {
	return g.oneOf(`0,1,2,4,5,6,8,13,17,20,28,40,0x1fff,0xff,0x4500,64,69,96,443,53,0xffffffff,33,
		tcp-syn,tcpflags,tcp-ack,icmp-echo,icmptype,icmp6-echo,010,(4),255`, `4294967296,09`)
}

func (g *generator) arithmetic(depth int) string {
	if depth <= 0 || g.chance(3) {
		switch g.IntN(5) {
		case 0:
			if g.lengths {
				return g.one("len", "length")
			}
		case 1, 2:
			return g.bytes(depth)
		}
		return g.constant()
	}
	switch g.IntN(10) {
	case 0:
		return "- " + g.arithmetic(depth-1)
	case 1, 2:
		return "( " + g.arithmetic(depth-1) + " )"
	case 3, 4, 5:
		return g.bytes(depth)
	}
	left, right := g.arithmetic(depth-1), g.arithmetic(depth-1)
	operator := g.one("+", "-", "*", "/", "%", "&", "&", "|", "^", "<<", ">>")
	if operator == "<<" || operator == ">>" {
		right = g.oneOf("1,2,4,8,31,ip[0]", "32")
	}
	return left + " " + operator + " " + right
}

func (g *generator) bytes(depth int) string {
	text := g.oneOf("ip,ip,ip6,tcp,tcp,udp,sctp,icmp,icmp6,igmp,igrp,pim,vrrp,carp,arp,rarp",
		"ah,esp,len") + " [ "
	if g.chance(3) {
		text += g.arithmetic(depth - 2)
	} else {
		text += g.oneOf("0,1,2,6,9,12,13,16,20,40,tcpflags,0 - 1,0 - 20,0 - 21,0xffffffff", "09")
	}
	if g.chance(2) {
		text += " : " + g.oneOf("1,2,4", "3,len")
	}
	return text + " ]"
}
