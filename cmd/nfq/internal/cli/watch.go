// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/dump"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/impair"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/intercept"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapfilter"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/terminal"
	"github.com/spf13/cobra"
)

// watch is what dump and run have in common: which packets of a queue are shown, how, and what
// becomes of them.
type watch struct {
	view
	print, quiet  bool
	write, filter string
	verdict       string
	snap          uint32
	rotation      rotation
	text          *os.File       // where packets are shown
	link          *impair.Config // how they are impaired, nil if not

	// What check makes of the flags.
	dump    dump.Config
	about   string // which packets
	started time.Time
}

// session is what *intercept.Session and *impair.Session have in common.
type session interface {
	Serve(context.Context, nfqueue.Handler) error
	Pause() error
	Resume() error
	Counts() []intercept.Counts
	Queues() []uint16
	Owned() bool
	Table() string
}

func (w *watch) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	w.view.flags(f)
	tcpdumpFlags(f)
	f.StringVarP(&w.write, "write", "w", "", "record in `FILE`, as pcapng, - for the standard output")
	f.Uint32VarP(&w.rotation.megabytes, "file-size", "C", 0,
		"with -w: begin another file after this number of `MEGABYTES`: FILE, FILE1, FILE2 ...")
	f.Uint32VarP(&w.rotation.seconds, "rotate-seconds", "G", 0,
		"with -w: begin another file after `SECONDS`; FILE has conversions of strftime(3), such as %H")
	f.Uint32VarP(&w.rotation.files, "file-count", "W", 0,
		"with -C: write this `NUMBER` of files again and again; with -G alone: end after it")
	f.BoolVar(&w.print, "print", false, "show the packets while they are recorded, too")
	f.Uint64VarP(&w.dump.Count, "count", "c", 0, "end after this `NUMBER` of packets")
	f.Uint32VarP(&w.snap, "snaplen", "s", 0,
		"look at this `NUMBER` of bytes of each packet only, 0 for all")
	f.StringVarP(&w.filter, "filter", "f", "",
		"show the packets only that match this `EXPRESSION`, in the language of pcap-filter(7)")
	f.StringVar(&w.verdict, "verdict", "accept", verdictHelp)
	f.Var(markFlag{&w.dump.SetMark}, "mark", "set the mark of each packet to this `VALUE`")
	noValues(cmd, "file-size", "rotate-seconds", "file-count", "count", "snaplen", "filter", "mark")
	completeFlag(cmd, "verdict", oneOf("accept", "drop", "repeat", "stop", "queue:"))
}

// check finds what is wrong with the flags.
func (w *watch) check(cfg *intercept.Config) (err error) {
	if w.dump.Verdict, err = parseVerdict(w.verdict); err != nil {
		return err
	}
	if w.dump.Verdict == nfqueue.Repeat {
		if err := checkRepeat(cfg.Rules, w.dump.SetMark); err != nil {
			return err
		}
	}
	if w.filter != "" {
		f, err := pcapfilter.Compile(w.filter)
		if err != nil {
			return fmt.Errorf("--filter: %w", err)
		}
		w.dump.Match = func(p *nfqueue.Packet) bool { return f.Match(pcapfilter.Of(p)) }
	}
	switch {
	case w.quiet && (w.print || w.verbose || w.hex):
		return errors.New("-q shows no packets; leave out --print, -v and -x")
	case w.print && w.write == "":
		return errors.New("--print is for use with -w; without it packets are shown anyway")
	case w.write == "-" && (w.print || w.json):
		return errors.New(
			"-w - takes the standard output for the recording; leave out --print and --json, or record in a file",
		)
	case w.write != "" && !w.print && (w.verbose || w.hex || w.json && w.link == nil):
		return errors.New(
			"-v, -x and --json say how packets are shown; add --print to show them while they are recorded",
		)
	}
	return errors.Join(w.rotation.check(w.write), w.view.check())
}

// shows reports whether packets are shown as text.
func (w *watch) shows() bool { return !w.quiet && (w.write == "" || w.print) }

// looks reports whether packets are shown or recorded.
func (w *watch) looks() bool { return w.shows() || w.write != "" }

// config completes how the queues are opened.
func (w *watch) config(cfg *intercept.Config) {
	cfg.Queue.CopyRange = w.snap
	if w.snap == 0 && (w.looks() || w.filter != "") {
		cfg.Queue.CopyRange = nfqueue.MaxPayload
	}
	cfg.Queue.MaxLen = 4096
	if w.dump.Verdict != nfqueue.Drop {
		cfg.Queue.Fallback = nfqueue.Accept
		cfg.Flags |= nfqueue.FailOpen
	}
	if w.verbose || w.json && !w.quiet || w.write != "" {
		cfg.Flags |= nfqueue.UIDGID | nfqueue.SecCtx | nfqueue.Conntrack
	}
	if w.verbose || w.json && !w.quiet {
		w.dump.Processes = dump.NewProcesses(cfg.Queue.NetNS)
	}
}

// run shows the packets of cfg until ctx ends, the count is reached, or while, if there is one,
// returns. While is called when packets are intercepted, and its error is that of run.
func (w *watch) run(ctx context.Context, cfg intercept.Config, while func() error) error {
	w.config(&cfg)
	queues := int(cfg.Queues)
	for _, r := range cfg.Rules {
		queues += int(r.Queues)
	}
	if err := checkDescriptors(queues); err != nil {
		return err
	}
	outputs, file, err := w.outputs()
	if err != nil {
		return err
	}
	var recorded *atomic.Uint64
	if file != nil {
		recorded = &file.recorded
	}
	defer func() { _ = file.Close() }()
	session, screen, err := w.open(cfg)
	if err != nil {
		return err
	}
	w.begin(session)
	if screen != nil {
		screen.begin(w.link.Seed, "")
	}
	defer terminal.OnStop(session.Pause, session.Resume, warn)()

	d := dump.New(w.dump, outputs...)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	stopProgress := w.progress(recorded)
	result := make(chan error, 1)
	go func() {
		if while != nil {
			result <- while()
			settle(session)
			stop()
			return
		}
		result <- nil
	}()
	go func() {
		select {
		case <-d.Done():
			stop()
		case <-serving.Done():
		}
	}()
	err = session.Serve(serving, d)
	closeErr := d.Close()
	if errors.Is(closeErr, errLastFile) {
		closeErr = nil
	}
	if errors.Is(closeErr, dump.ErrStalled) {
		file = nil // the writer still has it
	}
	err = errors.Join(err, closeErr, file.Close())
	stopProgress()
	err = errors.Join(err, <-result)
	w.summary(d.Counts(), recorded, session)
	if screen != nil {
		screen.end()
		err = errors.Join(err, screen.failed())
	}
	if err == nil && w.dump.Count > 0 && while == nil && d.Counts().Shown < w.dump.Count {
		return ctx.Err()
	}
	return err
}

// Of settle: no packet has come for quietTime, or settleTime has passed.
const (
	quietTime  = 50 * time.Millisecond
	settleTime = time.Second
)

// settle waits while packets still come, which a command sent before it ended: one that leaves may
// arrive at another rule.
func settle(s session) {
	last, since := received(s), time.Now()
	for begin := since; time.Since(since) < quietTime && time.Since(begin) < settleTime; {
		time.Sleep(quietTime / 10)
		if n := received(s); n != last {
			last, since = n, time.Now()
		}
	}
}

// received returns how many packets rules have sent to the queues.
func received(s session) (n uint64) {
	for _, c := range s.Counts() {
		n += c.Received
	}
	return n
}

// open opens the queues and installs the rules. The screen is for those that impair packets, and
// nil without.
func (w *watch) open(cfg intercept.Config) (session, *impairScreen, error) {
	if w.link == nil {
		s, err := intercept.Open(cfg)
		return s, nil, err
	}
	link := *w.link
	link.NetNS, link.CopyRange = cfg.Queue.NetNS, cfg.Queue.CopyRange
	link.Flags = cfg.Flags &^ nfqueue.FailOpen // what there is no room for is lost
	var screen *impairScreen
	link.OnChange = func(c impair.Change) { screen.change(c) }
	s, err := impair.Open(link)
	if err != nil {
		return nil, nil, err
	}
	w.dump.Decide = s
	screen = newImpairScreen(os.Stderr, w.json, s)
	return s, screen, nil
}

// outputs opens what packets are shown on and recorded in, nil if they are not.
func (w *watch) outputs() (all []dump.Output, file *recording, err error) {
	if w.shows() {
		all = append(all, w.view.on(w.text))
	}
	if w.write != "" {
		if file, err = record(w.write, w.rotation, w.snap,
			strings.TrimSpace(w.about+" "+w.filter)); err != nil {
			return nil, nil, err
		}
		all = append(all, file)
	}
	return all, file, nil
}

// begin says that packets are intercepted.
func (w *watch) begin(s session) {
	w.started = time.Now()
	doing := "watching"
	if !w.looks() {
		doing = "impairing"
	}
	fmt.Fprintf(os.Stderr, "nfq: %s %s through %s\n", doing, w.about, queueNames(s.Queues()))
	if !s.Owned() {
		fmt.Fprintf(
			os.Stderr,
			"nfq: this kernel keeps the table %s if nfq is killed; packets then pass it, and 'nft delete table inet %[1]s' removes it\n",
			s.Table(),
		)
	}
}

// progress shows on a terminal how many packets are recorded, when they are not shown themselves.
func (w *watch) progress(recorded *atomic.Uint64) (stop func()) {
	if recorded == nil || w.print || w.text == os.Stderr || !terminal.Is(os.Stderr) {
		return func() {}
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(os.Stderr, "\r%d packets recorded", recorded.Load())
			case <-end:
				fmt.Fprint(os.Stderr, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(end)
		<-ended
	}
}

// summary tells what became of the packets. Recorded is nil if none were to be recorded.
func (w *watch) summary(c dump.Counts, recorded *atomic.Uint64, s session) {
	if !w.looks() {
		return
	}
	done := fmt.Sprintf("%d shown", c.Shown)
	if recorded != nil {
		done = fmt.Sprintf("%d recorded", recorded.Load())
	}
	var received, missed uint64
	for _, queue := range s.Counts() {
		received += queue.Received
		missed += queue.Lost + queue.Full
	}
	text := fmt.Sprintf("nfq: packets: %s, %d queued", done, received)
	if w.filter != "" {
		text += fmt.Sprintf(", %d not matched by the filter", c.Unmatched)
	}
	text += fmt.Sprintf(", %d missed as they came too fast; %.1f s", c.Missed+missed,
		time.Since(w.started).Seconds())
	fmt.Fprintln(os.Stderr, text)
}
