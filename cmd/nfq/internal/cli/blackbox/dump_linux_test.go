// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng/pcapngtest"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

func TestDumpRecords(t *testing.T) {
	n := labtest.Pair(t)
	file := filepath.Join(t.TempDir(), "x.pcapng")
	d := dumpIn(t, n.Client, "out", "udp", "dport", "53", "-w", file, "-c", "10")
	f, other := flowTo(t, n, 53), flowTo(t, n, 54)
	texts := numbered(0, 15)
	for _, text := range texts {
		other.send(text)
		f.send(text)
	}
	f.wantInAnyOrder(texts...) // what is not recorded passes too
	other.want(texts...)
	if stdout, summary := d.end(exitOK); stdout != "" ||
		!strings.HasPrefix(summary, "nfq: packets: 10 recorded, ") {
		t.Errorf("stdout %q, summary %q", stdout, summary)
	}
	after := numbered(100, 3)
	for _, text := range after {
		f.send(text)
	}
	f.want(after...)

	recorded, err := os.Open(file)
	labtest.Must(t, err)
	defer func() { _ = recorded.Close() }()
	r, err := pcapgo.NewNgReader(recorded, pcapgo.DefaultNgReaderOptions)
	labtest.Must(t, err)
	for i, text := range texts[:10] {
		data, ci, options, err := r.ReadPacketDataWithOptions()
		labtest.Must(t, err)
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		header, _ := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if header == nil || string(header.Payload) != text || header.DstPort != 53 {
			t.Errorf("packet %d is %v, want %q", i, p, text)
		}
		if age := time.Since(ci.Timestamp); age < 0 || age > time.Minute {
			t.Errorf("packet %d is of %v", i, ci.Timestamp)
		}
		if link, err := r.Interface(ci.InterfaceIndex); err != nil || link.Name != netlab.Eth {
			t.Errorf("packet %d: interface %q, %v", i, link.Name, err)
		}
		if options.Flags == nil || options.Flags.Direction != pcapgo.NgEpbFlagDirectionOutbound {
			t.Errorf("packet %d: flags %v", i, options.Flags)
		}
		if len(options.Comments) != 1 ||
			!strings.HasPrefix(options.Comments[0], "verdict=accept queue=60") ||
			!strings.Contains(options.Comments[0], " mark=0x0 out=eth0 uid=") {
			t.Errorf("packet %d: comments %q", i, options.Comments)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %v", err)
	}

	seen := pcapngtest.Tshark(t, file, "frame.interface_name", "frame.packet_flags_direction",
		"ip.dst", "udp.dstport", "frame.comment", "udp.payload")
	if len(seen) != 10 {
		t.Fatalf("tshark sees %d packets", len(seen))
	}
	for i, fields := range seen {
		if got := strings.Join(fields[:4], " "); got != "eth0 0x00000002 192.0.2.2 53" ||
			!strings.HasPrefix(fields[4], "verdict=accept queue=60") {
			t.Errorf("tshark sees %q", fields)
		}
		if want := fmt.Sprintf("%x", texts[i]); fields[5] != "" &&
			fields[5] != want { // tshark takes it for DNS
			t.Errorf("tshark sees %q, want %q", fields[5], want)
		}
	}
}

func TestDumpKilled(t *testing.T) {
	n := labtest.Pair(t)
	d := dumpIn(t, n.Client, "out", "udp")
	f := flowTo(t, n, 9)
	f.send("seen")
	f.want("seen")
	line, err := d.stdout.ReadString('\n')
	if err != nil || !strings.Contains(line, " > 192.0.2.2:9: UDP, length 4") {
		t.Fatalf("line %q, %v", line, err)
	}
	labtest.Must(t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
	f.send("not seen")
	f.want("not seen")
	wantTablesOfKilled(t, n.Client)
}

// TestDumpInterrupted sends while it is ended: every datagram arrives.
func TestDumpInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			n := labtest.Pair(t)
			d := dumpIn(t, n.Client, "out", "udp")
			f := flowTo(t, n, 9)
			stop := make(chan struct{})
			var sent []string
			var sender sync.WaitGroup
			sender.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					text := numbered(i, 1)[0]
					if _, err := f.from.Write([]byte(text)); err != nil {
						t.Error(err)
						return
					}
					sent = append(sent, text)
					f.want(text) // keeps the socket from overflowing
				}
			})
			for range 20 {
				if _, err := d.stdout.ReadString('\n'); err != nil {
					t.Error(err)
				}
			}
			labtest.Must(t, d.cmd.Process.Signal(signal))
			stdout, summary := d.end(exitOK)
			close(stop)
			sender.Wait()
			shown := 20 + strings.Count(stdout, "\n")
			if want := fmt.Sprintf("nfq: packets: %d shown, %[1]d queued, 0 missed",
				shown); !strings.HasPrefix(
				summary,
				want,
			) {
				t.Errorf("summary %q, want %q", summary, want)
			}
			if shown > len(sent) {
				t.Errorf("%d lines, and %d sent", shown, len(sent))
			}
		})
	}
}

func TestDumpCountNotReached(t *testing.T) {
	n := labtest.Pair(t)
	d := dumpIn(t, n.Client, "out", "udp", "-c", "5")
	labtest.Must(t, d.cmd.Process.Signal(unix.SIGINT))
	if _, last := d.end(exitInterrupted); last != "nfq: interrupted" {
		t.Errorf("last line %q", last)
	}
}

func TestDumpVerdicts(t *testing.T) {
	n := labtest.Pair(t)
	f, free := flowTo(t, n, 9), flowTo(t, n, 10)
	d := dumpIn(t, n.Client, "out udp dport 9", "--verdict", "drop", "-f", "greater 30")
	f.send("lost")
	f.send("lost too")
	free.send("passes")
	free.want("passes") // after the others were dropped, as they leave in order
	line, err := d.stdout.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "UDP, length 4 [drop]\n") {
		t.Errorf("line %q, %v", line, err)
	}
	if line, err = d.stdout.ReadString('\n'); err != nil ||
		!strings.HasSuffix(line, "UDP, length 8 [drop]\n") {
		t.Errorf("line %q, %v", line, err)
	}
	labtest.Must(t, d.cmd.Process.Signal(unix.SIGTERM))
	d.end(exitOK)
	f.send("arrives")
	f.want("arrives")

	// Repeated packets have the mark that the rule does not match, and one that a later rule does.
	behind := labtest.Chain(t, n.Client, netlab.Inet, netlab.Output, 10)
	marked := labtest.Rule(t, behind, netlab.Mark(7), netlab.Counter())
	d = dumpIn(t, n.Client, "out udp dport 9 mark 0/7", "--verdict", "repeat", "--mark", "7", "-c",
		"1")
	f.send("again")
	f.want("again")
	if line, err = d.stdout.ReadString('\n'); err != nil ||
		!strings.HasSuffix(line, "UDP, length 5 [repeat]\n") {
		t.Errorf("line %q, %v", line, err)
	}
	if packets, _, err := marked.Count(); err != nil || packets != 1 {
		t.Errorf("%d packets have the mark, %v", packets, err)
	}
}

func TestDumpQueue(t *testing.T) {
	n := labtest.Pair(t)
	for i, port := range []uint16{9, 10} {
		chain := labtest.Chain(t, n.Client, netlab.Inet, netlab.Output, int32(i))
		labtest.Rule(t, chain, netlab.L4Proto(unix.IPPROTO_UDP), netlab.DstPort(port),
			netlab.ToQueue(netlab.Queue{Num: uint16(5 + i), Bypass: true}))
	}
	f, g := flowTo(t, n, 9), flowTo(t, n, 10)
	d := dumpIn(t, n.Client, "--queue", "5-6", "--json", "-c", "2", "-f", "dst host 192.0.2.2")
	f.send("one")
	f.want("one")
	g.send("three")
	g.want("three")
	var queues []int
	for range 2 {
		var o struct {
			Queue   int
			Verdict string
			Out     string
			Length  int
			DPort   int
		}
		line, err := d.stdout.ReadBytes('\n')
		labtest.Must(t, err)
		labtest.Must(t, json.Unmarshal(line, &o))
		queues = append(queues, o.Queue)
		if o.Verdict != "accept" || o.Out != "eth0" || o.DPort != o.Queue+4 ||
			o.Length != 28+2*o.Queue-7 {
			t.Errorf("%s", line)
		}
	}
	if !slices.Equal(queues, []int{5, 6}) {
		t.Errorf("queues %v", queues)
	}
	labtest.Must(t, d.cmd.Wait())
	f.send("bypasses")
	f.want("bypasses")
}

// TestDumpReaderGone ends what nfq dump is piped into: it ends, and no packet is lost.
func TestDumpReaderGone(t *testing.T) {
	n := labtest.Pair(t)
	read, write, err := os.Pipe()
	labtest.Must(t, err)
	cmd := command("dump", "out", "udp", "-w", "-")
	stderr, err := cmd.StderrPipe()
	labtest.Must(t, err)
	cmd.Stdout = write
	labtest.Must(t, n.Client.Do(cmd.Start))
	_ = write.Close()
	lines := bufio.NewReader(stderr)
	said, err := lines.ReadString('\n')
	if !strings.HasPrefix(said, "nfq: watching ") {
		t.Fatalf("%q, %v", said, err)
	}
	f := flowTo(t, n, 9)
	f.send("first")
	f.want("first")
	magic := make([]byte, 4)
	if _, err := io.ReadFull(read, magic); err != nil ||
		!bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		t.Errorf("the recording begins with %x, %v", magic, err)
	}
	_ = read.Close()
	for _, text := range numbered(0, 5) {
		f.send(text)
		f.want(text)
	}
	rest, err := io.ReadAll(lines)
	labtest.Must(t, err)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitNoReader ||
		strings.Contains(string(rest), "broken pipe") {
		t.Errorf("exit code %d, %q", code, rest)
	}
	wantNoTables(t, n.Client)
}

func TestDumpUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		says string
	}{
		{"", "say which packets"},
		{"out --queue 5", "add the words \"queue NUMBER\""},
		{"out udp dport http", `at "http"`},
		{"out or in or", "one of them is missing"},
		{"or out", "one of them is missing"},
		{"output -p udp --dport 53", "a rule has words without dashes"},
		{"out priority -5", "nfq dump -- out priority -5"},
		{"--queue 7-5", "want a number"},
		{"--queue 65536", "want a number"},
		{"out -f tcp[", "--filter: filter \"tcp[\""},
		{"out --verdict maybe", "want accept, drop"},
		{"out --verdict repeat", "have --mark set a mark"},
		{"out --verdict repeat --mark 1", `add "mark 0/0x1"`},
		{"out --mark x", "want a number of 32 bits"},
		{"out --mark=", "want a number of 32 bits"},
		{"out --json -v", "leave out -v"},
		{"out --print", "for use with -w"},
		{"out -w - --json", "takes the standard output"},
		{"out -w x -v", "add --print"},
	} {
		cmd := command(append([]string{"dump"}, strings.Fields(test.args)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage ||
			!strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: exit code %d, %q; want %q", test.args, code, &stderr, test.says)
		}
	}
}

// TestDumpProcesses: with -v and in JSON a packet has the program that sends it.
func TestDumpProcesses(t *testing.T) {
	host := labtest.Host(t)
	comm, err := os.ReadFile("/proc/self/comm")
	labtest.Must(t, err)
	name := strings.TrimSpace(string(comm))
	for flag, want := range map[string]string{
		"-v":     fmt.Sprintf(", process %s (%d)", name, os.Getpid()),
		"--json": fmt.Sprintf(`"processes":[{"pid":%d,"name":%q`, os.Getpid(), name),
	} {
		f := loopback(t, host, 4000)
		d := dumpIn(t, host, flag, "-c", "1", "out", "udp", "dport", "4000")
		f.send("whose?")
		f.want("whose?")
		if stdout, _ := d.end(exitOK); !strings.Contains(stdout, want) {
			t.Errorf("%s: no %q in\n%s", flag, want, stdout)
		}
		labtest.Must(t, errors.Join(f.to.Close(), f.from.Close()))
	}
}
