// SPDX-License-Identifier: GPL-2.0-or-later

package docs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for a command.
const patience = 4 * time.Minute

// shell runs commands one after the other in a sandbox, as a reader does.
type shell struct {
	*sandbox
	cwd    string
	open   *command   // runs in another terminal, at most until the next
	beside []*command // run until the end of the document
}

// command is commands that run.
type command struct {
	where string
	cmd   *exec.Cmd
	ended chan error

	mu     sync.Mutex
	output bytes.Buffer
}

// Write takes what the commands print.
func (c *command) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.Write(b)
}

func (c *command) printed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// start starts commands in the directory in which the last ones have ended.
func (s *shell) start(where, commands string) *command {
	s.t.Helper()
	c := &command{where: where, ended: make(chan error, 1)}
	left := filepath.Join(filepath.Dir(s.dir), "left")
	// The shell notes its directory at the end, so that "cd" lasts.
	c.cmd = exec.Command("sh", "-ec", "trap 'pwd >"+left+"' EXIT\n"+commands)
	c.cmd.Dir, c.cmd.Env = s.cwd, append(s.env[:len(s.env):len(s.env)], "PWD="+s.cwd)
	c.cmd.Stdout, c.cmd.Stderr = c, c
	c.cmd.WaitDelay = time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	s.do(func() { err = c.cmd.Start() })
	if err != nil {
		s.t.Fatalf("%s: %v", where, err)
	}
	s.t.Cleanup(func() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
	go func() { c.ended <- c.cmd.Wait() }()
	return c
}

// run runs commands to their end, and returns the exit status.
func (s *shell) run(where, commands string) (printed string, status int) {
	s.t.Helper()
	c := s.start(where, commands)
	select {
	case err := <-c.ended:
		if left, err := os.ReadFile(filepath.Join(filepath.Dir(s.dir), "left")); err == nil &&
			strings.HasPrefix(string(left), s.dir) {
			s.cwd = strings.TrimSuffix(string(left), "\n")
		}
		return c.printed(), exitStatus(err)
	case <-time.After(patience):
		s.t.Fatalf("%s: does not end; if it is meant to go on, mark it\n%s", where, c.printed())
	}
	return "", 0
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	case errors.As(err, &exit):
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
	}
	return 126
}

// keep starts commands that go on, and returns when they serve a queue, or print what they are to
// show.
func (s *shell) keep(where, commands, namespace, shows string) {
	s.t.Helper()
	s.interrupt(s.open)
	before := s.queues(namespace)
	s.open = s.start(where, commands)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case err := <-s.open.ended:
			s.t.Errorf("%s: has ended: %v\n%s", where, err, s.open.printed())
			s.open = nil
			return
		case <-time.After(5 * time.Millisecond):
		}
		if shows != "" && hasLine(s.open.printed(), shows) {
			return
		}
		if now := s.queues(namespace); shows == "" && now != before && now != "" {
			return
		}
	}
	s.t.Errorf("%s: serves no queue, or does not print %q\n%s", where, shows, s.open.printed())
}

// interrupt ends what goes on, as Ctrl-C does.
func (s *shell) interrupt(c *command) {
	s.t.Helper()
	if c == nil {
		return
	}
	if c == s.open {
		s.open = nil
	}
	if err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGINT); err != nil {
		s.t.Errorf("%s: interrupt: %v", c.where, err)
	}
	const interrupted = 128 + int(syscall.SIGINT)
	select {
	case err := <-c.ended:
		if status := exitStatus(err); status != 0 && status != interrupted {
			s.t.Errorf("%s: exit status %d after an interrupt\n%s", c.where, status, c.printed())
		}
	case <-time.After(patience):
		s.t.Fatalf("%s: does not end when it is interrupted\n%s", c.where, c.printed())
	}
}

// hasLine reports whether a text has a line like another, but for numbers and the width of space.
func hasLine(text, like string) bool {
	want := shape(like)
	for line := range strings.Lines(text) {
		if shape(line) == want {
			return true
		}
	}
	return false
}

func shape(line string) string {
	return numbers.ReplaceAllString(strings.Join(strings.Fields(line), " "), "0")
}

// write makes a file of the reader.
func (s *shell) write(b block) {
	s.t.Helper()
	flags, name := os.O_TRUNC, b.marks[markFile]
	if name == "" {
		flags, name = os.O_APPEND, b.marks[markAppend]
	}
	var err error
	s.do(func() {
		path := filepath.Join(s.cwd, name)
		if filepath.IsAbs(name) {
			path = name
		}
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return
		}
		var f *os.File
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o644); err == nil {
			_, err = fmt.Fprint(f, b.text)
			err = errors.Join(err, f.Close())
		}
	})
	if err != nil {
		s.t.Errorf("%s: %v", b.where, err)
	}
}
