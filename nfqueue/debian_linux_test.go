// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

// debianPackage has the cgo package and two programs that use it.
const (
	debianPackage  = "golang-github-chifflier-nfqueue-go-dev"
	debianSource   = "/usr/share/gocode/src/github.com/chifflier/nfqueue-go/nfqueue"
	debianExamples = "/usr/share/doc/" + debianPackage + "/examples"
)

func needDebianPackage(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("other programs take long")
	}
	for _, dir := range []string{debianSource, debianExamples} {
		if _, err := os.Stat(dir); err != nil {
			why := fmt.Sprintf("%v; install the Debian package %s", err, debianPackage)
			if os.Getenv("NFQUEUE_REQUIRE_KERNEL") == "1" {
				t.Fatal(why)
			}
			t.Skip(why)
		}
	}
}

// Every exported name is here, with the same type.
func TestAPIOfTheCgoPackage(t *testing.T) {
	needDebianPackage(t)
	theirs, ours := exported(t, debianSource), exported(t, ".")
	delete(theirs, "GoCallbackWrapper") // which C calls
	if len(theirs) < 30 {
		t.Errorf("only %d names in %s", len(theirs), debianSource)
	}
	for name, declaration := range theirs {
		if ours[name] != declaration {
			t.Errorf("%s: it was %q, is %q", name, declaration, ours[name])
		}
	}
}

// exported returns the exported names that a package declares, fields and methods among
// them, each with its type if that is written down.
func exported(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	must(t, err)
	names := make(map[string]string)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				declareFunc(names, d)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					declare(names, d.Tok, s)
				}
			}
		}
	}
	return names
}

func declareFunc(names map[string]string, d *ast.FuncDecl) {
	name := d.Name.Name
	if !ast.IsExported(name) {
		return
	}
	if d.Recv != nil {
		name = types.ExprString(d.Recv.List[0].Type) + "." + name
	}
	names[name] = types.ExprString(d.Type)
}

func declare(names map[string]string, tok token.Token, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() {
				names[n.Name] = tok.String()
				if s.Type != nil {
					names[n.Name] += " " + types.ExprString(s.Type)
				}
			}
		}
	case *ast.TypeSpec:
		structure, ok := s.Type.(*ast.StructType)
		if !ok {
			names[s.Name.Name] = types.ExprString(s.Type)
			return
		}
		names[s.Name.Name] = "struct"
		for _, f := range structure.Fields.List {
			for _, n := range f.Names {
				if n.IsExported() {
					names[s.Name.Name+"."+n.Name] = types.ExprString(f.Type)
				}
			}
		}
	}
}

// The programs of the cgo package's documentation run unchanged, except for the import of gopacket,
// whose maintained module has another path.
func TestDebianExamples(t *testing.T) {
	needDebianPackage(t)
	labtest.Need(t)
	for _, example := range []struct {
		name string
		says []string // of a datagram with the text "through their queue"
	}{
		{"test_nfqueue", []string{"Real callback\n  id: 1\n  mark: 0\n  in  0      out  ",
			"|ugh their queue|"}},
		{"test_nfqueue_gopacket", []string{"Real callback\n  id: 1\n", "PACKET LAYER: IPv4\n",
			"PACKET LAYER: UDP\n", "|ugh their queue|"}},
	} {
		t.Run(example.name, func(t *testing.T) {
			program := buildDebianExample(t, filepath.Join(debianExamples, example.name, "test_nfqueue.go"))
			l := newLab(t, netlab.Queue{Num: 0})
			l.Send(t, "lost without a program")
			p := labtest.Run(t, l.Client, 1, exec.Command(program))
			l.Send(t, "through their queue", "and another")
			l.Arrive(t, "through their queue", "and another")
			said := p.Interrupt(t, example.says...)
			l.Send(t, "lost when it has ended")
			// The cgo package did.
			if strings.Contains(said, "Opening queue") || strings.Contains(said, "Setting verdict") {
				t.Errorf("it logs:\n%s", said)
			}
			rest, err := pending(l)
			if err == nil {
				t.Errorf("%q arrived without a program", rest)
			}
		})
	}
}

// pending returns a datagram that has arrived. One that was dropped at the client's output hook
// never arrives.
func pending(l *lab) (string, error) {
	raw, err := l.To.SyscallConn()
	if err != nil {
		return "", err
	}
	b := make([]byte, 1500)
	n := 0
	if cerr := raw.Control(func(fd uintptr) { n, _, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT) }); cerr != nil {
		return "", cerr
	}
	return string(b[:max(n, 0)]), err
}

// buildDebianExample builds a program in this module, as if it were a package of it.
func buildDebianExample(t *testing.T, source string) string {
	t.Helper()
	needGo(t)
	text, err := os.ReadFile(source)
	must(t, err)
	text = bytes.ReplaceAll(text, []byte(`"github.com/google/gopacket`),
		[]byte(`"github.com/gopacket/gopacket`))
	dir := t.TempDir()
	main := filepath.Join(dir, "main.go")
	must(t, os.WriteFile(main, text, 0o644))
	program := filepath.Join(dir, "program")
	out, err := exec.Command("go", "build", "-o", program, main).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// needGo skips the test if the user cannot build programs: without a build cache, or without
// modules.
func needGo(t *testing.T) {
	t.Helper()
	for _, variable := range []string{"GOCACHE", "GOMODCACHE"} {
		out, err := exec.Command("go", "env", variable).Output()
		if err != nil {
			t.Skipf("go env %s: %v", variable, err)
		}
		dir := strings.TrimSpace(string(out))
		if err := unix.Access(dir, unix.W_OK); err != nil {
			t.Skipf("%s %s: %v; the go command has nothing to build programs from", variable, dir, err)
		}
	}
}
