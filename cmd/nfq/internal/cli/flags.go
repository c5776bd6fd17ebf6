// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netns"
	"github.com/chifflier/nfqueue-go/internal/word"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainDashes is for the flag errors of commands that take a rule: it tells those who write the
// rule as iptables has it.
func explainDashes(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return explainFlag(cmd, err)
	}
	name := unknown.GetSpecifiedName()
	if name >= "0" && name <= "9" {
		return fmt.Errorf("-%s... is taken for a flag; write -- before the words of a rule "+
			"with a negative number: %s -- out priority -5", name, cmd.CommandPath())
	}
	if slices.Contains(iptablesFlags, name) {
		return fmt.Errorf("%w; a rule has words without dashes, such as \"out udp dport 53\"", err)
	}
	return explainFlag(cmd, err)
}

var iptablesFlags = []string{
	"A", "I", "p", "d", "i", "o", "m", "j", "protocol", "sport", "dport", "source", "destination",
}

// explainFlag is for the flag errors of all commands: it tells which flag was probably meant, and
// what a flag takes that has got something else.
func explainFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if meant := word.Closest(unknown.GetSpecifiedName(), names); meant != "" {
			return fmt.Errorf("%w; did you mean --%s?", err, meant)
		}
		return err
	}
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag, want := invalid.GetFlag(), ""
	switch flag.Value.Type() {
	case "duration":
		want = "a time such as 500ms, 10s or 1m30s"
	case "uint32":
		want = "a whole number from 0 to 4294967295"
	case "uint64":
		want = "a whole number, 0 or more"
	case "int":
		want = "a whole number"
	case markType:
		want = "a number of 32 bits, such as 7 or 0x7"
	default: // says so itself
		return err
	}
	return fmt.Errorf("--%s %q: want %s", flag.Name, invalid.GetValue(), want)
}

// verdictHelp is the help of a flag for parseVerdict.
const verdictHelp = "give each packet this `VERDICT`: accept, drop, repeat, stop, or queue:NUMBER for another queue"

func parseVerdict(text string) (nfqueue.Verdict, error) {
	switch text {
	case "accept":
		return nfqueue.Accept, nil
	case "drop":
		return nfqueue.Drop, nil
	case "repeat":
		return nfqueue.Repeat, nil
	case "stop":
		return nfqueue.Stop, nil
	}
	if number, ok := strings.CutPrefix(text, "queue:"); ok {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return nfqueue.ToQueueOrAccept(uint16(n)), nil
		}
	}
	return 0, fmt.Errorf("--verdict %q: want accept, drop, repeat, stop or queue:NUMBER", text)
}

// markFlag is the value of --mark. What it points to is nil without the flag.
type markFlag struct{ to **uint32 }

// Set implements pflag.Value. explainFlag says what is wanted instead.
func (f markFlag) Set(text string) error {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return err
	}
	mark := uint32(n)
	*f.to = &mark
	return nil
}

// Type implements pflag.Value.
func (f markFlag) Type() string { return markType }

// String implements pflag.Value: there is no default.
func (f markFlag) String() string { return "" }

const markType = "mark"

const netnsUsage = "work in the network namespace `NS`: a name of iproute2's, a process id, or a path"

// openNetNS opens the network namespace of --netns. The caller closes it.
func openNetNS(name string) (*os.File, error) {
	ns, err := netns.Open(name)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, usageError{fmt.Errorf("--netns: %w", err)}
	}
	return ns, err
}
