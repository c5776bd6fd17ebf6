// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/chifflier/nfqueue-go"

// packageClause matches that of a program or test.
var packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)

// TestPrograms compiles and vets all Go in the documents and in the comments of the packages.
func TestPrograms(t *testing.T) {
	m := newModule(t)
	addBlocks(t, m)
	addComments(t, m)
	m.run("vet", "./...")
	t.Logf("%d files", m.files)
}

// addBlocks adds the blocks of Go in the documents, each of which is a whole file.
func addBlocks(t *testing.T, m *module) {
	t.Helper()
	found := map[string]int{}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang != "go" {
				continue
			}
			if b.has(markStatements) {
				found[d.name]++
				i := slices.IndexFunc(commented, func(p commentedPackage) bool { return p.dir == cmp.Or(b.marks[markStatements], ".") })
				m.add(fmt.Sprintf("%s%d", strings.Map(letters, d.name), found[d.name]), "main.go", commented[i].wrap(t, b.text))
				continue
			}
			clause := packageClause.FindStringSubmatch(b.text)
			if clause == nil {
				t.Errorf("%s: a block of Go is not a whole file", b.where)
				continue
			}
			found[d.name]++
			if formatted, err := format.Source([]byte(b.text)); err == nil && string(formatted) != b.text {
				t.Errorf("%s: is not as gofmt has it", b.where)
			}
			name := "main.go"
			if strings.Contains(b.text, "\nfunc Test") {
				name = "main_test.go"
			}
			// Blocks that belong together have the same file name but for the suffix, in directories of their own.
			dir := fmt.Sprintf("%s_%d", strings.Map(letters, d.name), found[d.name])
			if with := b.marks[markFile]; with != "" && with != "main.go" {
				dir, name = strings.Map(letters, d.name+filepath.Dir(with)), filepath.Base(with)
			}
			m.add(dir, name, b.text)
		}
	}
	if found["README.md"] == 0 {
		t.Error("found no program in README.md")
	}
}

// letters keeps letters.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

// commentedPackage is a package with code in its comment.
type commentedPackage struct {
	dir     string
	given   string // what the code takes for granted
	nfqueue string // what it calls so
}

var commented = []commentedPackage{
	{".", `var ctx context.Context`, modulePath},
	{"rules", `var ctx context.Context; var r rules.Rule; var handler nfqueue.Handler`, modulePath},
	{"nfqueuetest", `var t *testing.T; var handler nfqueue.Handler; var file io.Reader; var client, resolver netip.AddrPort`, modulePath},
	{"nfqueue", ``, modulePath + "/nfqueue"},
}

// imports are what this code may refer to.
var imports = map[string]string{
	"context": "context", "fmt": "fmt", "io": "io", "netip": "net/netip", "syscall": "syscall", "testing": "testing",
	"layers":      "github.com/gopacket/gopacket/layers",
	"nfqueuetest": modulePath + "/nfqueuetest", "rules": modulePath + "/rules",
}

// addComments adds the code in the comments of the packages, in which a line "..." stands for the handling of an error.
func addComments(t *testing.T, m *module) {
	t.Helper()
	for _, p := range commented {
		files, err := filepath.Glob(filepath.Join(root, p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc == nil || strings.HasSuffix(file, "_test.go") {
				continue
			}
			var text comment.Parser
			for _, part := range text.Parse(f.Doc.Text()).Content {
				if code, ok := part.(*comment.Code); ok {
					found++
					m.add(fmt.Sprintf("%s%d", strings.Map(letters, "root"+p.dir), found), "main.go", p.wrap(t, code.Text))
				}
			}
		}
		if found == 0 {
			t.Errorf("found no code in the comment of package %s", p.dir)
		}
	}
}

// wrap makes statements a program.
func (p commentedPackage) wrap(t *testing.T, code string) string {
	t.Helper()
	code = strings.ReplaceAll("\n"+code, "\n...\n", "\nif err != nil { return }\n")
	if strings.Contains(code, "package main") {
		return code
	}
	body := "func f() {" + code + "\n"
	f, err := parser.ParseFile(token.NewFileSet(), "", "package main\n"+body+"}", 0)
	if err != nil {
		t.Fatalf("%v in\n%s", err, code)
	}
	ast.Inspect(f.Decls[0].(*ast.FuncDecl).Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt: // those of the outermost block may have no further use
			for _, name := range n.Lhs {
				if id, ok := name.(*ast.Ident); ok && n.Tok == token.DEFINE && id.Name != "_" {
					body += "_ = " + id.Name + "\n"
				}
			}
			return false
		case *ast.BlockStmt:
			return true
		}
		return false
	})
	body = p.given + "\n" + body + "}\nfunc main() { f() }\n"
	var b strings.Builder
	fmt.Fprintf(&b, "package main\nimport nfqueue %q\n", p.nfqueue)
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			fmt.Fprintf(&b, "import %s %q\n", name, path)
		}
	}
	return b.String() + "var _ nfqueue.Queue\n" + body
}

// module is a module of a reader, who has this one next to it.
type module struct {
	t           *testing.T
	dir         string
	files       int
	environment []string
}

func newModule(t *testing.T) *module {
	t.Helper()
	m := &module{t: t, dir: t.TempDir(), environment: append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off", "PWD=")}
	ours, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	// All that this module needs, so that nothing has to be looked for.
	goMod := strings.Replace(string(ours), "module "+modulePath, "module example.com/reader", 1) +
		"\nrequire " + modulePath + " v0.0.0\nreplace " + modulePath + " => " + here + "\n"
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("go.mod", goMod)
	m.write("go.sum", string(sums))
	return m
}

func (m *module) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// add adds a file to the package in a directory.
func (m *module) add(dir, name, text string) {
	m.t.Helper()
	m.write(filepath.Join(dir, name), text)
	m.files++
}

func (m *module) run(args ...string) {
	m.t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = m.dir, m.environment
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
