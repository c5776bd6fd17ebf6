// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippets are pieces of code that use a package, in its comment or in a document.
type snippets struct {
	dir     string // of the package
	given   string // declarations that the code uses
	nfqueue string // the package that it calls nfqueue
}

var snippetsOf = []snippets{
	{".", `var ctx context.Context; var handler nfqueue.Handler
var q *nfqueue.Queue; var command *exec.Cmd`, modulePath},
	{"connection", `var ctx context.Context`, modulePath},
	{"rules", `var ctx context.Context; var r rules.Rule; var handler nfqueue.Handler`, modulePath},
	{"nfqueuetest", `var t *testing.T; var config nfqueue.Config; var handler nfqueue.Handler; var file io.Reader; var client, resolver netip.AddrPort`, modulePath},
	{"nfqueue", ``, modulePath + "/nfqueue"},
}

// imports are what this code may refer to.
var imports = map[string]string{
	"bytes": "bytes", "connection": modulePath + "/connection", "context": "context", "fmt": "fmt",
	"exec": "os/exec", "io": "io", "log": "log", "os": "os", "netip": "net/netip", "syscall": "syscall", "testing": "testing",
	"time":        "time",
	"layers":      "github.com/gopacket/gopacket/layers",
	"nfqueuetest": modulePath + "/nfqueuetest", "rules": modulePath + "/rules",
}

// addComments adds the code in the comments of the packages, in which a line "..." stands for the
// handling of an error.
func addComments(t *testing.T, m *module) {
	t.Helper()
	for _, p := range snippetsOf {
		files, err := filepath.Glob(filepath.Join(root, p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil,
				parser.ParseComments|parser.PackageClauseOnly)
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
					m.add(fmt.Sprintf("%s%d", strings.Map(letters, "root"+p.dir), found), "main.go",
						p.wrap(t, code.Text))
				}
			}
		}
		if found == 0 {
			t.Errorf("found no code in the comment of package %s", p.dir)
		}
	}
}

// wrap makes statements a program.
func (p snippets) wrap(t *testing.T, code string) string {
	t.Helper()
	code = strings.ReplaceAll("\n"+code, "\n...\n", "\nif err != nil { return err }\n")
	if strings.Contains(code, "package main") {
		return code
	}
	body := "func f() (_ error) {" + code + "\n"
	f, err := parser.ParseFile(token.NewFileSet(), "", "package main\n"+body+"}", 0)
	if err != nil {
		t.Fatalf("%v in\n%s", err, code)
	}
	ast.Inspect(f.Decls[0].(*ast.FuncDecl).Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt: // the code may not use its variables again
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
	body = p.given + "\n" + body + "return\n}\nfunc main() { _ = f() }\n"
	var b strings.Builder
	fmt.Fprintf(&b, "package main\nimport nfqueue %q\n", p.nfqueue)
	for name, path := range imports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			fmt.Fprintf(&b, "import %s %q\n", name, path)
		}
	}
	return b.String() + "var _ nfqueue.Queue\n" + body
}
