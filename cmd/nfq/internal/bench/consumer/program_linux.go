// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// Program is a consumer in a process of its own that speaks the protocol of Consume.
type Program struct {
	// Title is its name in results.
	Title string
	// Command is the program with its first arguments.
	Command []string
	// Env is added to the environment.
	Env []string
	// Ours means that the program runs Consume, which can do more than the others.
	Ours bool
	// Defaults means that the program leaves the queue and its socket as they are made.
	Defaults bool
}

// Name implements Consumer.
func (p *Program) Name() string { return p.Title }

// Can implements Consumer.
func (p *Program) Can(s Setup) bool {
	if p.Defaults && s.Packets != 0 { // its buffer holds a few
		return false
	}
	return p.Ours ||
		s.Batch == 0 && s.BusyPoll == 0 && s.Work == 0 && s.Hold == 0 && s.Connections == ""
}

// Start implements Consumer. A program that is not ours runs once for each queue.
func (p *Program) Start(ctx context.Context, host *netlab.Host, s Setup) (Running, error) {
	if p.Ours || s.Queues <= 1 {
		return p.start(ctx, host, s)
	}
	var all runningSeveral
	for i := range s.Queues {
		one := s
		one.Queue, one.Queues = s.Queue+uint16(i), 0
		if len(s.CPUs) > 0 {
			one.CPUs = []int{s.CPUs[i%len(s.CPUs)]}
		}
		r, err := p.start(ctx, host, one)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, r)
	}
	return all, nil
}

func (p *Program) start(ctx context.Context, host *netlab.Host, s Setup) (*runningProgram, error) {
	if !p.Ours {
		s.Queues = 0
	}
	r := &runningProgram{name: p.Title}
	r.cmd = exec.CommandContext(
		ctx,
		p.Command[0],
		append(p.Command[1:len(p.Command):len(p.Command)], s.args()...)...)
	r.cmd.Env = append(os.Environ(), p.Env...)
	r.cmd.Stderr = &r.stderr
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	r.stdout = bufio.NewReader(stdout)
	err = host.Do(func() error { return OnCPUs(s.CPUs, r.cmd.Start) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Title, err)
	}
	if line, err := r.stdout.ReadString('\n'); line != "ready\n" {
		return nil, errors.Join(r.failed("was not ready", err), r.Close())
	}
	return r, nil
}

type runningProgram struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
	ended  bool
}

func (r *runningProgram) Go() error { return r.tell("go\n") }

func (r *runningProgram) Stop() error { return r.tell("stop\n") }

func (r *runningProgram) tell(line string) error {
	if _, err := io.WriteString(r.stdin, line); err != nil {
		return r.failed("does not listen", err)
	}
	return nil
}

func (r *runningProgram) Wait() (Report, error) {
	var report Report
	line, err := r.stdout.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &report)
	}
	if err != nil {
		return report, r.failed("did not report", err)
	}
	if err := r.wait(); err != nil {
		return report, r.failed("failed", err)
	}
	return report, nil
}

func (r *runningProgram) Usage() (Usage, error) { return usageOf(r.cmd.Process.Pid) }

func (r *runningProgram) Close() error {
	if r.ended {
		return nil
	}
	// Its end by this signal is no error.
	_ = r.cmd.Process.Kill()
	_ = r.wait()
	return nil
}

func (r *runningProgram) wait() error {
	r.ended = true
	return r.cmd.Wait()
}

// failed ends the process and returns an error with what it wrote to its standard error.
func (r *runningProgram) failed(what string, err error) error {
	_ = r.Close()
	return fmt.Errorf("consumer %s %s: %w: %s", r.name, what, err,
		strings.TrimSpace(r.stderr.String()))
}

// runningSeveral are consumers that work at the same time.
type runningSeveral []Running

func (all runningSeveral) each(do func(Running) error) error {
	var errs []error
	for _, r := range all {
		errs = append(errs, do(r))
	}
	return errors.Join(errs...)
}

func (all runningSeveral) Go() error    { return all.each(Running.Go) }
func (all runningSeveral) Stop() error  { return all.each(Running.Stop) }
func (all runningSeveral) Close() error { return all.each(Running.Close) }

func (all runningSeveral) Wait() (total Report, err error) {
	err = all.each(func(r Running) error {
		report, err := r.Wait()
		total.merge(report)
		return err
	})
	return total, err
}

func (all runningSeveral) Usage() (total Usage, err error) {
	err = all.each(func(r Running) error {
		u, err := r.Usage()
		total.merge(u)
		return err
	})
	return total, err
}
