// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
)

// checker collects what one package lacks.
type checker struct {
	files   *token.FileSet
	public  bool
	missing []string
}

// check returns a line for each exported identifier without a comment in the files of a
// package. Struct fields need one only in a package that others can import.
func check(files *token.FileSet, parsed []*ast.File, public bool) []string {
	c := &checker{files: files, public: public}
	documented := false
	for _, f := range parsed {
		documented = documented || f.Doc != nil
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				c.function(d)
			case *ast.GenDecl:
				c.declaration(d)
			}
		}
	}
	if !documented && len(parsed) > 0 {
		c.report(parsed[0].Name, "package "+parsed[0].Name.Name)
	}
	return c.missing
}

func (c *checker) report(at ast.Node, what string) {
	c.missing = append(c.missing, fmt.Sprintf("%s: %s has no doc comment", c.files.Position(at.Pos()), what))
}

// function checks a function or method. Methods of types that are not exported cannot be
// seen in the documentation.
func (c *checker) function(f *ast.FuncDecl) {
	name := f.Name.Name
	if f.Recv != nil {
		receiver := typeName(f.Recv.List[0].Type)
		if !ast.IsExported(receiver) {
			return
		}
		name = receiver + "." + name
	}
	if f.Name.IsExported() && f.Doc == nil {
		c.report(f.Name, name)
	}
}

// typeName returns the name of the type of a receiver, without pointer and parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// declaration checks constants, variables and types. A comment on a group in
// parentheses is enough for constants and variables, but not for types.
func (c *checker) declaration(d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			if d.Doc != nil || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, n := range s.Names {
				if n.IsExported() {
					c.report(n, n.Name)
				}
			}
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				c.typeSpec(s, typeDoc(s.Doc, d))
			}
		}
	}
}

// typeDoc returns the comment of a type: its own or, outside of parentheses, that of the
// declaration.
func typeDoc(own *ast.CommentGroup, d *ast.GenDecl) *ast.CommentGroup {
	if own == nil && !d.Lparen.IsValid() {
		return d.Doc
	}
	return own
}

func (c *checker) typeSpec(s *ast.TypeSpec, doc *ast.CommentGroup) {
	if doc == nil {
		c.report(s.Name, s.Name.Name)
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		if c.public {
			c.members(s.Name.Name, doc, t.Fields)
		}
	case *ast.InterfaceType:
		c.members(s.Name.Name, doc, t.Methods)
	}
}

// members checks the fields of a struct or the methods of an interface. One may be named
// in the comment of the type, or in the last one before it, instead of having its own.
// What is embedded has its comment elsewhere.
func (c *checker) members(of string, doc *ast.CommentGroup, l *ast.FieldList) {
	last := doc
	for _, f := range l.List {
		if f.Doc != nil {
			last = f.Doc
		}
		own := f.Comment != nil || f.Doc != nil && len(f.Names) == 1
		for _, n := range f.Names {
			if n.IsExported() && !own && !mentions(last, n.Name) && !mentions(doc, n.Name) {
				c.report(n, of+"."+n.Name)
			}
		}
	}
}

// mentions reports whether a comment has the name as a word.
func mentions(doc *ast.CommentGroup, name string) bool {
	return doc != nil && regexp.MustCompile(`\b`+name+`\b`).MatchString(doc.Text())
}
