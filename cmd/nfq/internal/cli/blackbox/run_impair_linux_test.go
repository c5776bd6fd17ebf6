// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// What commands of these tests send: datagrams of 1, 2, ... lastNumber bytes, then some of
// endNumber.
const lastNumber, endNumber = 40, 100

// systemPort is where the system answers.
const systemPort = 4000

func report(text string, err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(text)
	return 0
}

// sendNumbers sends datagrams on loopback and returns the lengths of those that arrive.
func sendNumbers() (string, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 1500)
	for i := range lastNumber {
		if _, err := c.WriteTo(b[:i+1], c.LocalAddr()); err != nil {
			return "", err
		}
	}
	var arrived []string
	for {
		// One of these will get through, behind all others.
		if _, err := c.WriteTo(b[:endNumber], c.LocalAddr()); err != nil {
			return "", err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return "", err
		}
		n, err := 0, error(nil)
		for n < endNumber && err == nil {
			if n, err = c.Read(b); err == nil && n < endNumber {
				arrived = append(arrived, strconv.Itoa(n))
			}
		}
		if err == nil {
			return strings.Join(arrived, " "), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
	}
}

// askSystem sends a datagram to the other end of the link and returns how long the answer takes.
func askSystem() (string, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addrs {
		here, err := netip.ParsePrefix(a.String())
		if err != nil || !here.Addr().Is4() || !here.Addr().IsPrivate() {
			continue
		}
		c, err := net.Dial("udp", netip.AddrPortFrom(here.Addr().Prev(), systemPort).String())
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		asked := time.Now()
		if _, err := c.Write([]byte("question")); err != nil {
			return "", err
		}
		_, err = c.Read(make([]byte, 100))
		return time.Since(asked).String(), err
	}
	return "", errors.New("there is no link")
}

// TestRunImpairs: what arrives is what is not shown as dropped, and the counters say the same.
func TestRunImpairs(t *testing.T) {
	for _, name := range []string{"as I am", "unprivileged"} {
		t.Run(name, func(t *testing.T) {
			host := labtest.Host(t)
			cmd, stdout, stderr := running(t,
				[]string{"--impair", "loss 50% delay 20ms", "--seed", "5", "--out", "udp"}, "numbers")
			if name == "unprivileged" {
				unprivileged(t, cmd)
			}
			labtest.Must(t, host.Do(cmd.Start))
			_ = cmd.Wait()
			needAvailable(t, cmd, stderr)
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			var passed []string
			total, dropped := 0, 0
			for line := range strings.Lines(stderr.String()) {
				_, length, ok := strings.Cut(line, "UDP, length ")
				if !ok {
					continue
				}
				total++
				length, verdict, _ := strings.Cut(strings.TrimSpace(length), " ")
				switch {
				case verdict == "[drop]":
					dropped++
				case length != strconv.Itoa(endNumber):
					passed = append(passed, length)
				}
			}
			if arrived := strings.Fields(stdout.String()); !slices.Equal(arrived, passed) ||
				len(passed) == 0 ||
				len(passed) == lastNumber {
				t.Errorf("arrived: %v, shown as accepted: %v", arrived, passed)
			}
			var way string
			var packets, bytes, went, lost int
			_, table, _ := strings.Cut(stderr.String(), "bit/s\n")
			_, err := fmt.Sscan(table, &way, &packets, &bytes, &went, &lost)
			if err != nil || way != "there" || packets != total || went != total-dropped ||
				lost != dropped {
				t.Errorf("%d of %d were dropped, the counters say %d of %d, %v:\n%s", dropped, total, lost,
					packets, err, stderr)
			}
			vanished(t, cmd)
			wantNoTables(t, host)
		})
	}
}

// TestRunImpairsBothWays has the command ask the system, where each way has a delay of its own.
func TestRunImpairsBothWays(t *testing.T) {
	host := labtest.Host(t)
	server, err := netlab.In(host,
		func() (*net.UDPConn, error) { return net.ListenUDP("udp", &net.UDPAddr{Port: systemPort}) })
	labtest.Must(t, err)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	defer func() {
		_ = server.Close()
		<-answered
	}()
	cmd, stdout, stderr := running(t, []string{"-q", "--impair", "delay 30ms", "--back", "delay 50ms"},
		"ask")
	labtest.Must(t, host.Do(cmd.Run))
	took, err := time.ParseDuration(strings.TrimSpace(stdout.String()))
	if err != nil || took < 80*time.Millisecond || took > time.Minute {
		t.Errorf("the answer took %v, %v; want at least 80ms", took, err)
	}
	for _, want := range []string{"there  out queue ", ": delay 30ms\n", "back   in iif eth0 queue ",
		": delay 50ms\n", "\n   back  ", "back: packets went on"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr.String(), "UDP") {
		t.Errorf("a packet is shown:\n%s", stderr)
	}
}
