// SPDX-License-Identifier: GPL-2.0-or-later

package terminal

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stoppedEnv is set for the process that TestContinueDuringPause stops.
const stoppedEnv = "NFQ_TEST_STOPPED"

func TestMain(m *testing.M) {
	if os.Getenv(stoppedEnv) != "" {
		os.Exit(continueDuringPause())
	}
	os.Exit(m.Run())
}

// continueDuringPause stops this process, and has it go on while it still pauses. It returns when
// the process has resumed.
func continueDuringPause() int {
	resumed := make(chan struct{})
	pause := func() error {
		c := make(chan os.Signal, 1)
		signal.Notify(c, unix.SIGCONT)
		err := unix.Kill(os.Getpid(), unix.SIGCONT)
		<-c
		signal.Stop(c) // which waits until all channels have the signal
		return err
	}
	resume := func() error {
		close(resumed)
		return nil
	}
	failed := 0
	end := OnStop(pause, resume, func(error) { failed = 1 })
	if err := unix.Kill(os.Getpid(), unix.SIGTSTP); err != nil {
		return 1
	}
	<-resumed
	end()
	return failed
}

// TestContinueDuringPause: a process that is told to go on before it has stopped does not stop, as
// nothing else would have it go on.
func TestContinueDuringPause(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), stoppedEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
