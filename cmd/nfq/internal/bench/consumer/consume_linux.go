// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Consume is the program of a consumer in a process of its own. It speaks the same protocol as
// those of bench/c: it binds its queues, writes "ready", waits for a line, decides the packets it
// was asked for, or all until another line or the end of in, and writes a Report. A Program runs
// it.
func Consume(args []string, in io.Reader, out io.Writer) error {
	setup, err := parseSetup(args)
	if err != nil {
		return err
	}
	session, err := openSession(setup, 0)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return errors.Join(err, session.close())
	}
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return session.close()
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		lines.Scan()
		stop()
	}()
	report, err := session.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}
