// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/modproxy"
	"github.com/chifflier/nfqueue-go/internal/netlab"
)

var (
	numbers = regexp.MustCompile(`[0-9]+`)
	// inCheckout matches commands that are meant for a checkout of this module.
	inCheckout = regexp.MustCompile(
		`(^|\s)(\./((cmd|internal|examples)/|connection\b)|\.ci/run|bench/run|dist\b)`)
)

// needed are programs that the documents use, and the packages of Debian that have them.
var needed = map[string]string{
	"iptables": "iptables", "ip6tables": "iptables", "nft": "nftables", "ip": "iproute2",
	"sysctl": "procps", "setcap": "libcap2-bin",
	"setpriv": "util-linux", "unshare": "util-linux", "chroot": "coreutils", "pidof": "sysvinit-utils",
	"ping": "iputils-ping",
	"man":  "man-db", "jq": "jq", "tshark": "tshark", "go": "golang", "git": "git",
}

// TestCommands runs the commands of each document, in their order, in a sandbox. A block that is not
// run says why.
func TestCommands(t *testing.T) {
	if refused != nil {
		lack(t, refused)
	}
	if err := netlab.Check(); err != nil {
		lack(t, err)
	}
	for program, from := range needed {
		if _, err := exec.LookPath(program); err != nil {
			lack(t, err, "; it is in Debian's package "+from)
		}
	}
	place := newPlace(t)
	var mu sync.Mutex
	ran, left := 0, []string{}
	// The documents run side by side. The counts are complete when all have ended.
	t.Run("of", func(t *testing.T) {
		for _, d := range documents(t) {
			if !slices.ContainsFunc(d.blocks, block.isShell) {
				continue
			}
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				s := &shell{sandbox: newSandbox(t, place.env, place.writable)}
				s.cwd = s.dir
				if forContributors(d.name) {
					s.cwd = checkout()
				}
				place.furnish(t, s.dir)
				n, not := s.follow(d)
				mu.Lock()
				defer mu.Unlock()
				ran += n
				left = append(left, not...)
			})
		}
	})
	slices.Sort(left)
	t.Logf("%d blocks run, %d not:\n%s", ran, len(left), strings.Join(left, "\n"))
}

// forContributors reports whether the readers of a document are in a checkout.
func forContributors(name string) bool {
	return name == "CONTRIBUTING.md" || strings.HasPrefix(name, "testdata/")
}

// isShell reports whether a block has commands.
func (b block) isShell() bool { return b.lang == "sh" || b.isConsole() }

// follow does what a document says, and returns how many blocks it has run, and why it has not run
// others.
func (s *shell) follow(d document) (ran int, left []string) {
	s.t.Helper()
	for _, b := range d.blocks {
		reason, not := b.marks[markNotRun]
		if meanwhile, ok := b.marks[markMeanwhile]; ok {
			s.keep(b.where, meanwhile, "", "")
			s.beside, s.open = append(s.beside, s.open), nil
		}
		switch {
		case b.has(markFile) || b.has(markAppend):
			s.write(b)
		case b.has(markPrinted):
			s.printed(b)
		case !b.isShell():
		case not && reason == "":
			s.t.Errorf("%s: say why it is not run", b.where)
		case not:
			left = append(left, b.where+": "+reason)
		case b.has(markGate):
			s.gate(b)
			left = append(left, b.where+": .ci/run runs it")
		case b.has(markNeeds) && !s.has(b.marks[markNeeds]):
			left = append(left, b.where+": needs "+b.marks[markNeeds])
		case netlab.Entered() && b.has(markRoot):
			left = append(left, b.where+": only the real root may do this")
		default:
			began := time.Now()
			s.shorten(&b)
			cwd := s.cwd
			if inCheckout.MatchString(b.text) {
				s.cwd = checkout()
			}
			if ran++; b.isConsole() {
				s.console(b)
			} else {
				s.commands(b)
			}
			if s.cwd == checkout() {
				s.cwd = cwd
			}
			s.t.Logf("%s: %v", b.where, time.Since(began).Round(time.Millisecond))
		}
	}
	s.interrupt(s.open)
	for _, c := range s.beside {
		s.interrupt(c)
	}
	return ran, left
}

// has reports whether a program or file exists. If it does not, the test fails where nothing may be
// skipped.
func (s *shell) has(what string) bool {
	s.t.Helper()
	var err error
	if filepath.IsAbs(what) {
		s.do(func() { _, err = os.Stat(what) })
	} else {
		_, err = exec.LookPath(what)
	}
	if err != nil && nothingMayLack() {
		s.t.Error(err)
	}
	return err == nil
}

// shorten replaces in a block what its mark says.
func (s *shell) shorten(b *block) {
	s.t.Helper()
	mark, ok := b.marks[markShortly]
	if !ok {
		return
	}
	long, short, _ := strings.Cut(mark, " => ")
	if short == "" || !strings.Contains(b.text, long) {
		s.t.Errorf("%s: there is nothing to shorten by %q", b.where, mark)
	}
	b.text = strings.Replace(b.text, long, short, 1)
}

// gate looks for what the mark of a block names in .ci/run.
func (s *shell) gate(b block) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	must(s.t, err)
	if !strings.Contains(string(text), b.marks[markGate]) {
		s.t.Errorf("%s: .ci/run does not have %q", b.where, b.marks[markGate])
	}
}

// commands runs a block of commands.
func (s *shell) commands(b block) {
	s.t.Helper()
	if b.has(markGoesOn) {
		s.keep(b.where, b.text, b.marks[markGoesOn], "")
		return
	}
	printed, status := s.run(b.where, b.text)
	if (status != 0) != b.has(markFails) {
		s.t.Errorf("%s: exit status %d\n%s\n%s", b.where, status, b.text, printed)
	}
}

// console runs the commands of a block that shows what they print, and looks for a line of it.
func (s *shell) console(b block) {
	s.t.Helper()
	lines := strings.Split(strings.TrimSuffix(b.text, "\n"), "\n")
	for i, line := range lines {
		m := console.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		shown := lines[i+1:]
		if end := slices.IndexFunc(shown, console.MatchString); end >= 0 {
			shown = shown[:end]
		}
		like := typical(shown)
		if slices.Contains(shown, "^C") {
			s.keep(b.where, m[1], "", like)
			s.interrupt(s.open)
			continue
		}
		printed, status := s.run(b.where, m[1])
		// The block may show an error.
		if like == "" && status != 0 || like != "" && !hasLine(printed, like) {
			s.t.Errorf("%s: %s: exit status %d, and no line like\n%s\nbut\n%s", b.where, m[1], status, like,
				printed)
		}
	}
}

// printed waits until what goes on has printed lines like those of a block.
func (s *shell) printed(b block) {
	s.t.Helper()
	if s.open == nil {
		s.t.Errorf("%s: nothing goes on that could print this", b.where)
		return
	}
	for line := range strings.Lines(b.text) {
		for end := time.Now().Add(patience / 4); !hasLine(s.open.printed(),
			line); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				s.t.Errorf("%s: there is no line like\n%s in\n%s", b.where, line, s.open.printed())
				return
			}
		}
	}
}

// typical returns the first line that has no numbers, which depend on the system; otherwise the
// first.
func typical(lines []string) string {
	lines = slices.DeleteFunc(slices.Clone(lines),
		func(line string) bool { return line == "" || line == "^C" || line == "..." })
	if i := slices.IndexFunc(lines, func(line string) bool { return !numbers.MatchString(line) }); i >= 0 {
		return lines[i]
	}
	return strings.Join(lines[:min(1, len(lines))], "")
}

var checkout = sync.OnceValue(func() string {
	dir, err := filepath.Abs(root)
	if err != nil {
		panic(err)
	}
	return dir
})

// place is what all readers find on their systems.
type place struct {
	env      []string // with nfq and sudo in PATH
	writable []string // directories on which what is written does not stay
	program  []byte   // the program of README.md
}

func newPlace(t *testing.T) *place {
	t.Helper()
	bin := t.TempDir()
	build(t, filepath.Join(bin, "nfq"), checkout(), "./cmd/nfq")
	// The user of the test is root in the sandbox.
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"),
		0o755); err != nil {
		t.Fatal(err)
	}
	standIn(t, bin)
	standInDocker(t, bin)

	p := &place{program: program(t)}
	modules := output(t, "go", "env", "GOMODCACHE")
	// What "go get" and "go install" find is this checkout.
	published := t.TempDir()
	must(t, modproxy.Snapshot(published, root))
	p.writable = []string{checkout(), modules, "/etc", "/run", "/usr/local/bin", "/usr/local/share",
		"/usr/share"}
	p.env = append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin",
		"HOME="+t.TempDir(), "GOCACHE="+output(t, "go", "env", "GOCACHE"), "GOMODCACHE="+modules,
		"GOTOOLCHAIN=local",
		"GOPROXY=file://"+published+",file://"+modules+"/cache/download", "GOSUMDB=off",
		"GOFLAGS=-buildvcs=false -modcacherw -ldflags=-s",
	)
	return p
}

// furnish puts what the documents call ./program, and the captures of this module, into a
// directory.
func (p *place) furnish(t *testing.T, dir string) {
	t.Helper()
	captures := filepath.Join(dir, "testdata", "captures")
	if err := os.MkdirAll(filepath.Dir(captures), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(checkout(), "testdata", "captures"), captures); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "program"), p.program, 0o755); err != nil {
		t.Fatal(err)
	}
}

// program builds the program of README.md.
func program(t *testing.T) []byte {
	t.Helper()
	m := newModule(t)
	for _, d := range documents(t) {
		if d.name != "README.md" {
			continue
		}
		i := slices.IndexFunc(d.blocks, func(b block) bool { return b.lang == "go" && !b.has(markStatements) })
		m.add("program", "main.go", d.blocks[i].text)
	}
	file := filepath.Join(m.dir, "out")
	m.run("build", "-o", file, "./program")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func build(t *testing.T, file, dir, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-ldflags=-s", "-o", file, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
