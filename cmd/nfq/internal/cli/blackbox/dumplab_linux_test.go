// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/google/nftables"
)

// dumping is a run of nfq dump in a host.
type dumping struct {
	t      *testing.T
	cmd    *exec.Cmd
	host   *netlab.Host
	stdout *bufio.Reader
	stderr *bufio.Reader
	said   bytes.Buffer // on the standard error
}

// dumpIn starts nfq dump in a host and returns when it watches.
func dumpIn(t *testing.T, host *netlab.Host, args ...string) *dumping {
	t.Helper()
	d := &dumping{t: t, host: host, cmd: command(append([]string{"dump"}, args...)...)}
	stdout, err := d.cmd.StdoutPipe()
	labtest.Must(t, err)
	stderr, err := d.cmd.StderrPipe()
	labtest.Must(t, err)
	d.stdout, d.stderr = bufio.NewReader(stdout), bufio.NewReader(stderr)
	labtest.Must(t, host.Do(d.cmd.Start))
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	d.await("nfq: watching ")
	return d
}

// await reads the standard error until a line starts so.
func (d *dumping) await(prefix string) {
	d.t.Helper()
	for {
		line, err := d.stderr.ReadString('\n')
		d.said.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return
		}
		if err != nil {
			_ = d.cmd.Wait()
			needAvailable(d.t, d.cmd, &d.said)
			d.t.Fatalf("nfq dump ended: %v, stderr %q", err, &d.said)
		}
	}
}

// end waits for the end and returns what was written to the standard output that has not been read,
// and the last line on the standard error.
func (d *dumping) end(code int) (stdout, summary string) {
	d.t.Helper()
	rest, err := io.ReadAll(d.stdout)
	labtest.Must(d.t, err)
	said, err := io.ReadAll(d.stderr)
	labtest.Must(d.t, err)
	d.said.Write(said)
	_ = d.cmd.Wait()
	if got := d.cmd.ProcessState.ExitCode(); got != code {
		d.t.Errorf("exit code %d, want %d; stderr %q", got, code, &d.said)
	}
	wantNoTables(d.t, d.host)
	lines := strings.Split(strings.TrimSpace(d.said.String()), "\n")
	return string(rest), lines[len(lines)-1]
}

func wantNoTables(t *testing.T, host *netlab.Host) {
	t.Helper()
	for _, table := range tablesIn(t, host) {
		t.Errorf("table %s is left", table.Name)
	}
}

// wantTablesOfKilled checks that the rules of a program that was killed are gone, which the kernel
// sees to since Linux 5.12.
func wantTablesOfKilled(t *testing.T, host *netlab.Host) {
	t.Helper()
	if labtest.AtLeast(t, 5, 12) {
		wantNoTables(t, host)
	} else if len(tablesIn(t, host)) == 0 {
		t.Error("the tables have gone, which this kernel is not known to do")
	}
}

func tablesIn(t *testing.T, host *netlab.Host) []*nftables.Table {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(host.FD()))
	labtest.Must(t, err)
	tables, err := conn.ListTables()
	labtest.Must(t, err)
	return tables
}

// flow is datagrams from one host to another.
type flow struct {
	t        *testing.T
	from, to *net.UDPConn
}

// flowTo makes a flow from the client to a port of the server.
func flowTo(t *testing.T, n *netlab.Network, port uint16) *flow {
	t.Helper()
	return newFlow(t, n.Client, n.Server, netip.AddrPortFrom(n.Server4, port))
}

// loopback makes a flow to a port within a host.
func loopback(t *testing.T, host *netlab.Host, port uint16) *flow {
	t.Helper()
	return newFlow(t, host, host, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
}

func newFlow(t *testing.T, client, server *netlab.Host, at netip.AddrPort) *flow {
	t.Helper()
	address := net.UDPAddrFromAddrPort(at)
	to, err := netlab.In(server, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", address)
	})
	labtest.Must(t, err)
	from, err := netlab.In(client, func() (*net.UDPConn, error) {
		return net.DialUDP("udp", nil, address)
	})
	labtest.Must(t, err)
	t.Cleanup(func() {
		_ = to.Close()
		_ = from.Close()
	})
	labtest.Must(t, to.SetDeadline(time.Now().Add(time.Minute)))
	return &flow{t, from, to}
}

func (f *flow) send(text string) {
	f.t.Helper()
	if _, err := f.from.Write([]byte(text)); err != nil {
		f.t.Fatal(err)
	}
}

// want receives datagrams, which have to be these.
func (f *flow) want(texts ...string) {
	f.t.Helper()
	for _, text := range texts {
		if got := f.receive(text); got != text {
			f.t.Fatalf("received %q, want %q", got, text)
		}
	}
}

// wantInAnyOrder is want for texts of which some may have waited in a queue while others, behind
// the end of its rule, passed them.
func (f *flow) wantInAnyOrder(texts ...string) {
	f.t.Helper()
	var got []string
	for _, text := range texts {
		got = append(got, f.receive(text))
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(texts)); !slices.Equal(got, want) {
		f.t.Fatalf("received %q, want %q", got, want)
	}
}

// receive returns what arrives next, where text is expected.
func (f *flow) receive(text string) string {
	f.t.Helper()
	b := make([]byte, 2048)
	n, err := f.to.Read(b)
	if err != nil {
		f.t.Fatalf("%q did not arrive: %v", text, err)
	}
	return string(b[:n])
}

// numbered returns n texts of as many digits, from a number on.
func numbered(from, n int) []string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("datagram %06d", from+i))
	}
	return texts
}
