// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// terminal is a shell with job control in a window of tmux, in which nfq is a command.
type terminal struct {
	t      *testing.T
	socket string
}

const terminalRows = 24

// openTerminal opens a window in a host.
func openTerminal(t *testing.T, host *netlab.Host, columns int) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		labtest.Must(t, fmt.Errorf("%w: %w", err, errors.ErrUnsupported))
	}
	dir := t.TempDir()
	exe, err := os.Executable()
	labtest.Must(t, err)
	labtest.Must(t, os.Symlink(exe, filepath.Join(dir, "nfq")))
	w := &terminal{t, filepath.Join(dir, "socket")}
	cmd := w.command("new-session", "-d", "-x", strconv.Itoa(columns), "-y",
		strconv.Itoa(terminalRows), "env", "PS1=$ ", "PATH="+dir+":"+os.Getenv("PATH"), actEnv+"=1",
		"LC_ALL=C.UTF-8", "bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8")
	t.Cleanup(func() { _ = w.command("kill-server").Run() })
	labtest.Must(t, host.Do(cmd.Run))
	w.do("set-option", "-g", "status", "off")
	w.resize(columns)
	w.await("a prompt", func(text string) bool { return strings.HasPrefix(text, "$") })
	return w
}

func (w *terminal) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-f", "/dev/null", "-S", w.socket}, args...)...)
}

func (w *terminal) do(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// enter types a command line.
func (w *terminal) enter(line string) { w.do("send-keys", line, "Enter") }

// key presses a key, such as C-z.
func (w *terminal) key(name string) { w.do("send-keys", name) }

func (w *terminal) resize(columns int) {
	w.do("resize-window", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(terminalRows))
}

// text is what the window shows.
func (w *terminal) text() string { return strings.TrimRight(w.do("capture-pane", "-p"), "\n") }

// await waits until the window shows what is wanted, and returns it.
func (w *terminal) await(what string, is func(text string) bool) string {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text := w.text()
		if is(text) {
			return text
		}
		if time.Now().After(end) {
			w.t.Fatalf("no %s on\n%s", what, text)
		}
	}
}

// lines returns the rows of a window from the last one on that contains a word.
func from(text, word string) []string {
	rows := strings.Split(text, "\n")
	for i := len(rows) - 1; i >= 0; i-- {
		if strings.Contains(rows[i], word) {
			return rows[i:]
		}
	}
	return nil
}

// widths are those of the terminals that screens are tried on, and what they are changed to.
var widths = []struct{ before, after int }{{60, 120}, {80, 60}, {120, 80}}

// TestImpairOnTerminals looks at the table: it is there at once, whole at each width, drawn again
// when the width changes and after a stop, during which the traffic passes unimpaired.
func TestImpairOnTerminals(t *testing.T) {
	for _, width := range widths {
		t.Run(strconv.Itoa(width.before), func(t *testing.T) {
			t.Parallel()
			host := labtest.Host(t)
			flow := loopback(t, host, 4000)
			w := openTerminal(t, host, width.before)
			w.enter("nfq impair --loss 100% --both --interval 10m --seed 7 out udp dport 4000")
			whole := func(columns int) func(text string) bool {
				return func(text string) bool {
					rows := from(text, "packets")
					if strings.Count(text, "packets  ") != 1 || len(rows) < 3 ||
						!strings.HasPrefix(rows[1], "  there  ") ||
						!strings.HasPrefix(rows[2], "   back  ") {
						return false
					}
					// Columns of zeros leave where there is no room for all.
					return strings.Contains(rows[0], "corrupt") == (columns > 90) &&
						strings.Contains(rows[0], "waiting") == (columns >= 80) &&
						len(rows) == 3
				}
			}
			w.await("table", whole(width.before))
			for i := range 3 {
				flow.send(fmt.Sprint("lost ", i))
			}
			// Nothing but the table says that the packets were decided, and a resize draws it anew.
			counted := func(packets string, drawn func(columns int) func(text string) bool) {
				for narrow := true; ; narrow = !narrow {
					columns := width.after
					if narrow {
						columns = 58
					}
					w.resize(columns)
					text := w.await("table after the change to "+strconv.Itoa(columns), drawn(columns))
					if fields := strings.Fields(from(text, "  there")[0]); !narrow && fields[1] == packets {
						return
					}
				}
			}
			counted("3", whole)

			w.key("C-z")
			w.await(
				"prompt after Ctrl-Z",
				func(text string) bool { return strings.HasSuffix(text, "$") && strings.Contains(text, "Stopped") },
			)
			flow.send("while stopped")
			flow.want("while stopped")
			w.enter("fg")
			behindFg := func(int) func(text string) bool {
				return func(text string) bool {
					rows := from(text, "nfq impair --loss")
					return len(rows) >= 4 && strings.Contains(strings.Join(rows, "\n"), "packets") &&
						strings.Contains(rows[len(rows)-2], "there  ")
				}
			}
			w.await("table behind the line of fg", behindFg(0))
			flow.send("lost again")
			counted("4", behindFg)
			w.key("C-c")
			w.await("end", func(text string) bool {
				return strings.HasSuffix(text, "$") &&
					strings.Contains(strings.Join(from(text, "packets"), "\n"), "\n")
			})
			flow.send("afterwards")
			flow.want("afterwards")
			rows := from(w.text(), "packets")
			if got := strings.Fields(rows[1])[1]; got != "4" {
				t.Errorf("%s packets were impaired, want 4, in\n%s", got, w.text())
			}
			wantNoTables(t, host)
		})
	}
}

// TestStatOnTerminals looks at the queues: their drops are visible at each width.
func TestStatOnTerminals(t *testing.T) {
	for _, width := range widths {
		t.Run(strconv.Itoa(width.before), func(t *testing.T) {
			t.Parallel()
			host := hostWithQueue(t)
			w := openTerminal(t, host, width.before)
			w.enter("nfq stat 7 --watch=10m")
			whole := func(columns int) func(text string) bool {
				return func(text string) bool {
					rows := strings.Split(text, "\n")
					return len(rows) == 4 && strings.HasPrefix(rows[0], "nfq stat of queue 7, every 10m0s  ") &&
						strings.HasPrefix(rows[2], "QUEUE  ") &&
						strings.Contains(rows[2], "QUEUE DROPS") &&
						strings.Contains(rows[2], "SOCKET DROPS") &&
						strings.HasPrefix(rows[3], "    7  ") &&
						strings.Contains(rows[2], "COPY") == (columns > 100)
				}
			}
			w.await("table", whole(width.before))
			w.resize(width.after)
			w.await("table after the change to "+strconv.Itoa(width.after), whole(width.after))
			w.key("C-z")
			w.await("prompt after Ctrl-Z", func(text string) bool { return strings.HasSuffix(text, "$") })
			w.enter("fg")
			w.await("table after fg", whole(width.after))
			w.key("C-c")
			w.await("end", func(text string) bool { return strings.HasSuffix(text, "$") })
		})
	}
}

// TestDumpOnTerminals stops dump and run, and finds that the traffic goes on meanwhile, and is
// shown afterwards.
func TestDumpOnTerminals(t *testing.T) {
	for _, width := range widths {
		t.Run(strconv.Itoa(width.before), func(t *testing.T) {
			t.Parallel()
			host := labtest.Host(t)
			flow := loopback(t, host, 4000)
			w := openTerminal(t, host, width.before)
			shown := func(length int) func(text string) bool {
				return func(text string) bool {
					return strings.Contains(strings.ReplaceAll(text, "\n", ""),
						fmt.Sprintf("UDP, length %d", length))
				}
			}
			w.enter("cd " + t.TempDir())
			w.enter("nfq dump -w x.pcapng --print out udp dport 4000 queue 9; rm x.pcapng")
			w.await(
				"start",
				func(text string) bool { return strings.Contains(strings.ReplaceAll(text, "\n", ""), "through queue 9") },
			)
			flow.send("shown")
			flow.want("shown")
			w.await("packet", shown(5))
			w.key("C-z")
			w.await(
				"prompt after Ctrl-Z",
				func(text string) bool { return strings.HasSuffix(text, "$") && strings.Contains(text, "Stopped") },
			)
			for i := range 3 {
				flow.send(fmt.Sprint("unseen ", i))
				flow.want(fmt.Sprint("unseen ", i))
			}
			w.resize(width.after)
			w.enter("fg")
			for i, seen := 0, false; !seen; i++ {
				text := fmt.Sprintf("again %05d", i)
				flow.send(text)
				flow.want(text)
				seen = shown(len(text))(w.text())
			}
			w.key("C-c")
			text := w.await(
				"end",
				func(text string) bool { return strings.HasSuffix(text, "$") && strings.Contains(text, " queued") },
			)
			if shown(len("unseen 0"))(text) {
				t.Errorf("a packet was shown that passed during the stop:\n%s", text)
			}
			wantNoTables(t, host)
		})
	}
}
