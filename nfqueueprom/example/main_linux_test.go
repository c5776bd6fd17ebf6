// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// The metrics count what has passed.
func TestPrometheus(t *testing.T) {
	h := labtest.Host(t)
	labtest.Rule(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0),
		netlab.L4Proto(17), netlab.DstPort(53), netlab.ToQueue(netlab.Queue{}))
	const address = "127.0.0.1:9100"
	p := labtest.Start(t, h, 1, address)
	u := labtest.SendUDP(t, h, h, netip.MustParseAddrPort("127.0.0.1:53"))
	u.Send(t, "one", "three")
	u.Arrive(t, "one", "three")
	conn, err := netlab.In(h, func() (net.Conn, error) { return net.Dial("tcp", address) })
	labtest.Must(t, err)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	response, err := (&http.Client{Transport: transport}).Get("http://" + address + "/metrics")
	labtest.Must(t, err)
	b, err := io.ReadAll(response.Body)
	labtest.Must(t, err)
	response.Body.Close()
	for _, line := range []string{
		`nfqueue_received_packets_total{queue="0"} 2`,
		`nfqueue_received_bytes_total{queue="0"} 64`,
		`nfqueue_verdicts_total{queue="0",verdict="accept"} 2`,
		`nfqueue_lost_packets_total{queue="0"} 0`,
		`nfqueue_packets_total{queue="0"} 2`,
		`nfqueue_handler_duration_seconds_count{queue="0"} 2`,
		`nfqueue_decide_duration_seconds_count{queue="0"} 2`,
	} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("no %q in\n%s", line, b)
		}
	}
	p.Terminate(t)
}
