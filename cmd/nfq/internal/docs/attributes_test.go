// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// kernelName matches what the kernel's headers call a message, attribute, flag, command or
	// verdict. One that ends with "_" stands for several.
	kernelName = regexp.MustCompile(`\b(?:NFQA|NFQNL_MSG|NFQNL_CFG_CMD|NFQNL_COPY|CTA)_\w*[A-Z0-9]\b|\bNF_(?:DROP|ACCEPT|STOLEN|QUEUE|REPEAT|STOP|VERDICT_FLAG_\w+)\b`)
	version    = regexp.MustCompile(`^\d+\.\d+`)
	quoted     = regexp.MustCompile("`([^`]+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// attributeRow is a row of the tables in docs/attributes.md.
type attributeRow struct {
	names                []string // of the kernel
	version, api, tested string
}

func attributeRows(t *testing.T) (rows []attributeRow) {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/attributes.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || strings.HasPrefix(cells[1], "--") ||
			strings.TrimSpace(cells[1]) == "Kernel" {
			continue
		}
		if len(cells) != 6 {
			t.Fatalf("%d cells, not 4, in %s", len(cells)-2, line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, attributeRow{inQuotes(cells[1]), cells[2], cells[3], cells[4]})
	}
	return rows
}

func inQuotes(s string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(s, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestAttributeTable: every name of the kernel in the packages has a row, and what the rows name exists.
func TestAttributeTable(t *testing.T) {
	api, named := exported(t)
	tests := testNames(t)
	rows := attributeRows(t)
	described := map[string]bool{}
	for _, r := range rows {
		for _, name := range r.names {
			described[name] = true
		}
		if len(r.names) == 0 || !version.MatchString(r.version) {
			t.Errorf("no name or version: %+v", r)
		}
		identifiers := inQuotes(r.api)
		if len(identifiers) == 0 && !strings.HasPrefix(r.api, "none: ") {
			t.Errorf("no API, and no reason for that: %+v", r)
		}
		for _, id := range identifiers {
			if !api[id] {
				t.Errorf("%v: there is no %s", r.names, id)
			}
		}
		if len(inQuotes(r.tested)) == 0 {
			t.Errorf("no test: %+v", r)
		}
		for _, name := range inQuotes(r.tested) {
			if !tests[name] {
				t.Errorf("%v: there is no test %s", r.names, name)
			}
		}
	}
	for _, name := range named {
		if !described[name] {
			t.Errorf("docs/attributes.md has no row for %s", name)
		}
	}
	if len(rows) == 0 || len(named) < 100 {
		t.Errorf("found %d rows and %d names", len(rows), len(named))
	}
}

// packagesWithAttributes are the folders whose comments name the kernel's attributes.
var packagesWithAttributes = []string{".", "conntrack", "internal/ctattr", "internal/nfqmsg"}

// exported returns the exported identifiers of those packages, fields and methods with their type
// and all but those of the main package with their package's name, and the names of the kernel in
// the comments.
func exported(t *testing.T) (api map[string]bool, named []string) {
	t.Helper()
	api = map[string]bool{}
	for _, dir := range packagesWithAttributes {
		files, err := filepath.Glob(filepath.Join("../../../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		prefix := ""
		if dir != "." {
			prefix = filepath.Base(dir) + "."
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range f.Comments {
				named = append(named, kernelName.FindAllString(group.Text(), -1)...)
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					api[prefix+receiver(d)+d.Name.Name] = d.Name.IsExported()
				case *ast.GenDecl:
					for _, s := range d.Specs {
						addSpec(api, prefix, s)
					}
				}
			}
		}
	}
	slices.Sort(named)
	return api, slices.Compact(named)
}

// receiver returns "T." for a method of T or *T.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "."
	}
	return "?."
}

func addSpec(api map[string]bool, prefix string, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			api[prefix+name.Name] = name.IsExported()
		}
	case *ast.TypeSpec:
		api[prefix+s.Name.Name] = s.Name.IsExported()
		if st, ok := s.Type.(*ast.StructType); ok {
			for _, field := range st.Fields.List {
				for _, name := range field.Names {
					api[prefix+s.Name.Name+"."+name.Name] = s.Name.IsExported() && name.IsExported()
				}
			}
		}
	}
}

// testNames returns the tests and fuzz targets of the module, of all build tags.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../../../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
