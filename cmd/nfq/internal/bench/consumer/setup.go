// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/chifflier/nfqueue-go"
)

// Setup is what a consumer is to do.
type Setup struct {
	// Queue is the number of the first queue, Queues how many consecutive ones there are, each
	// served on its own; 0 is 1.
	Queue  uint16
	Queues int
	// Verdict is given to every packet, Drop or Accept.
	Verdict nfqueue.Verdict
	// Packets is how many to decide in each queue; 0 is all that come until the consumer is
	// stopped.
	Packets int
	// WarmUp is how many of them, in each queue, are not measured: the first ones, which find
	// memory untouched.
	WarmUp int
	// MaxLen and ReadBuffer are as in nfqueue.Config.
	MaxLen     uint32
	ReadBuffer int
	NoGSO      bool
	// CPUs are the processors to run on, all if there are none.
	CPUs []int

	// Connections says how the handler decides connections, "" that it decides packets. Only
	// consumers of this package know it.
	Connections Connections
	// MaxConns is as in connection.Config, except that 0 is more than anything needs.
	MaxConns int

	// Batch and BusyPoll are as in nfqueue.Config, Work the time that the handler takes for each
	// packet, and Hold the number of packets that it defers before it decides them, the newest
	// first. Only consumers of this package know them.
	Batch    int
	BusyPoll time.Duration
	Work     time.Duration
	Hold     int
}

// Connections says how a handler decides connections.
type Connections string

const (
	// FirstData gives a connection its verdict with its first data.
	FirstData Connections = "first-data"
	// Offloaded is FirstData, and has the kernel carry on.
	Offloaded Connections = "offloaded"
	// Undecided lets packets pass, and wants to see more.
	Undecided Connections = "undecided"
)

// Usual is the setup of nfqueue.Config with nothing set, for packets that do not wait for long. The
// size of the receive buffer is what that comes to, so that others have the same.
var Usual = Setup{Verdict: nfqueue.Accept, MaxLen: nfqueue.DefaultMaxLen, ReadBuffer: 11 << 20}

// args returns s as the command line of a consumer. CPUs are not on it.
func (s Setup) args() []string {
	args := []string{"--queue", strconv.Itoa(int(s.Queue)), "--verdict", s.Verdict.String()}
	number := func(name string, n int64) {
		if n != 0 {
			args = append(args, "--"+name, strconv.FormatInt(n, 10))
		}
	}
	number("queues", int64(s.Queues))
	number("packets", int64(s.Packets))
	number("warm-up", int64(s.WarmUp))
	number("max-len", int64(s.MaxLen))
	number("read-buffer", int64(s.ReadBuffer))
	number("batch", int64(s.Batch))
	number("hold", int64(s.Hold))
	number("max-conns", int64(s.MaxConns))
	if s.Connections != "" {
		args = append(args, "--connections", string(s.Connections))
	}
	duration := func(name string, d time.Duration) {
		if d != 0 {
			args = append(args, "--"+name, d.String())
		}
	}
	duration("busy-poll", s.BusyPoll)
	duration("work", s.Work)
	if s.NoGSO {
		args = append(args, "--no-gso")
	}
	return args
}

// parseSetup is the reverse of args.
func parseSetup(args []string) (Setup, error) {
	var s Setup
	f := flag.NewFlagSet("consumer", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	queue := f.Uint("queue", 0, "")
	f.IntVar(&s.Queues, "queues", 0, "")
	verdict := f.String("verdict", "accept", "")
	f.IntVar(&s.Packets, "packets", 0, "")
	f.IntVar(&s.WarmUp, "warm-up", 0, "")
	maxLen := f.Uint64("max-len", 0, "")
	f.IntVar(&s.ReadBuffer, "read-buffer", 0, "")
	f.IntVar(&s.Batch, "batch", 0, "")
	f.IntVar(&s.Hold, "hold", 0, "")
	f.IntVar(&s.MaxConns, "max-conns", 0, "")
	f.StringVar((*string)(&s.Connections), "connections", "", "")
	f.DurationVar(&s.BusyPoll, "busy-poll", 0, "")
	f.DurationVar(&s.Work, "work", 0, "")
	f.BoolVar(&s.NoGSO, "no-gso", false, "")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.Queue, s.MaxLen = uint16(*queue), uint32(*maxLen)
	switch *verdict {
	case "drop":
		s.Verdict = nfqueue.Drop
	case "accept":
		s.Verdict = nfqueue.Accept
	default:
		return s, fmt.Errorf("--verdict %s: want drop or accept", *verdict)
	}
	if *queue > math.MaxUint16 || *maxLen > math.MaxUint32 || f.NArg() > 0 {
		return s, errors.New("a consumer takes options with numbers in range, and nothing else")
	}
	return s, nil
}

// config returns the configuration of queue i of s.
func (s Setup) config(i int) nfqueue.Config {
	cfg := nfqueue.Config{
		Queue:      s.Queue + uint16(i),
		MaxLen:     s.MaxLen,
		ReadBuffer: s.ReadBuffer,
		Batch:      s.Batch,
		BusyPoll:   s.BusyPoll,
	}
	if s.NoGSO {
		cfg.Flags = nfqueue.NoGSO
	}
	return cfg
}
