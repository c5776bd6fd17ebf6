// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the directory of the module.
const root = "../../../.."

// Marks of a block: HTML comments, one a line, directly before the fence.
const (
	// markNotRun says why a test cannot run the commands of a block: "not run: needs a cluster".
	markNotRun = "not run"
	// markShortly shortens what takes minutes by replacing a text: "shortly: 10m => 1s".
	markShortly = "shortly"
	// markGate is for a block whose commands .ci/run runs, and names the text to look for there:
	// "run by .ci/run: .ci/api".
	markGate = "run by .ci/run"
	// markFile names a file of the reader, which gets the text of the block: "file: main.go".
	// "file, at the end: main.go" appends.
	markFile   = "file"
	markAppend = "file, at the end"
	// markGoesOn is for a block whose last command runs until it is interrupted, as a reader does
	// in another terminal. It names the network namespace in which the command binds a queue, if
	// that is not the reader's.
	markGoesOn = "goes on"
	// markMeanwhile has a command that runs from this block to the end of the document.
	markMeanwhile = "meanwhile"
	// markPrinted is for a block with lines that the running command must print.
	markPrinted = "printed"
	// markNeeds names a program or a file of the kernel without which a block is left out:
	// "needs: podman".
	markNeeds = "needs"
	// markRoot is for a block that root of a user namespace must not run.
	markRoot = "real root"
	// markStatements is for a block of Go that is the inside of a function, and names the package
	// that it calls nfqueue if that is not the main one.
	markStatements = "statements"
	// markCompiledIn names the file of another module that has the Go of a block, and is vetted
	// there.
	markCompiledIn = "compiled in"
	// markFails is for a block whose last command has to fail.
	markFails = "fails"
)

var marks = []string{
	markNotRun, markShortly, markGate, markFile, markAppend, markGoesOn, markMeanwhile, markPrinted,
	markNeeds, markRoot, markStatements, markCompiledIn, markFails,
}

// document is a Markdown file of the project.
type document struct {
	name   string // from the root of the module on
	text   string // without the blocks
	blocks []block
}

// block is a fenced block.
type block struct {
	where string // file and line
	lang  string
	text  string
	marks map[string]string
}

var (
	fence    = regexp.MustCompile("^```+")
	comments = regexp.MustCompile(`^<!-- (.*) -->$`)
)

// documents returns all Markdown files of the module.
func documents(t *testing.T) (all []document) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "*/*/README.md", ".github/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := parse(name, string(text))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
	}
	return all
}

func parse(name, text string) (document, error) {
	d := document{name: name}
	var rest strings.Builder
	var b *block // the one that is open
	var closing string
	noted := map[string]string{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch mark := comments.FindStringSubmatch(line); {
		case b != nil && line == closing:
			d.blocks = append(d.blocks, *b)
			b = nil
		case b != nil:
			b.text += line + "\n"
		case fence.MatchString(line):
			closing = fence.FindString(line)
			b = &block{where: fmt.Sprintf("%s:%d", name, number), lang: line[len(closing):], marks: noted}
			noted = map[string]string{}
		case mark != nil:
			key, value, _ := strings.Cut(mark[1], ": ")
			if !slices.Contains(marks, key) {
				return d, fmt.Errorf("%s:%d: %q is no mark of a block", name, number, key)
			}
			noted[key] = value
		case len(noted) > 0:
			return d, fmt.Errorf("%s:%d: a mark, and no block after it", name, number)
		default:
			rest.WriteString(line + "\n")
		}
	}
	d.text = rest.String()
	if b != nil {
		return d, fmt.Errorf("%s is never closed", b.where)
	}
	return d, nil
}

func (b block) has(mark string) bool { _, ok := b.marks[mark]; return ok }

// console matches a line of a block that shows a command with its output.
var console = regexp.MustCompile(`^[#$] (.+)`)

// isConsole reports whether the block shows commands with their output: one in the language console, or one without
// language that begins with a prompt.
func (b block) isConsole() bool {
	return b.lang == "console" || b.lang == "" && !b.has(markFile) && !b.has(markAppend) &&
		!b.has(markPrinted) && console.MatchString(b.text)
}

func TestParseBlocks(t *testing.T) {
	d, err := parse("a.md", "text\n<!-- not run: why -->\n<!-- file: x -->\n```sh\nls\n```\n\n````\n```\n````\nend\n")
	if err != nil {
		t.Fatal(err)
	}
	if d.text != "text\n\nend\n" || len(d.blocks) != 2 {
		t.Fatalf("%+v", d)
	}
	first, second := d.blocks[0], d.blocks[1]
	if first.where != "a.md:4" || first.lang != "sh" || first.text != "ls\n" ||
		first.marks["not run"] != "why" || first.marks["file"] != "x" {
		t.Errorf("%+v", first)
	}
	if second.where != "a.md:8" || second.lang != "" || second.text != "```\n" ||
		len(second.marks) != 0 {
		t.Errorf("%+v", second)
	}
	for _, wrong := range []string{"```\n", "<!-- not ran: why -->\n```\n```\n",
		"<!-- not run: why -->\n\n```\n```\n"} {
		if _, err := parse("a.md", wrong); err == nil {
			t.Errorf("no error for %q", wrong)
		}
	}
}

// languages are those of blocks for which there is a check, and those that are to be read only.
var languages = []string{"sh", "console", "go", "yaml", "ini", "dockerfile", "c", "python", "text",
	""}

func TestLanguages(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if !slices.Contains(languages, b.lang) {
				t.Errorf("%s: there is no check for %q; known are %q", b.where, b.lang, languages)
			}
		}
	}
}
