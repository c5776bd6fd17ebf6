// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if labtest.IsProgram() {
		main()
		return
	}
	labtest.Main(m)
}

// All threads of the program have CAP_NET_ADMIN and no more, and packets pass.
func TestPrivileges(t *testing.T) {
	h := labtest.Host(t)
	labtest.Rule(t, labtest.Chain(t, h, netlab.IP, netlab.Output, 0),
		netlab.L4Proto(17), netlab.DstPort(53), netlab.ToQueue(netlab.Queue{}))
	id := 65534
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil ||
		strings.HasSuffix(strings.TrimSpace(string(m)), " 1") {
		id = os.Getuid() // there is no other in this user namespace
	}
	p := labtest.Start(t, h, 1, strconv.Itoa(id))
	u := labtest.SendUDP(t, h, h, netip.MustParseAddrPort("127.0.0.1:53"))
	u.Send(t, "passes")
	u.Arrive(t, "passes")
	tasks := fmt.Sprintf("/proc/%d/task", p.PID())
	threads, err := os.ReadDir(tasks)
	labtest.Must(t, err)
	for _, thread := range threads {
		status, err := os.ReadFile(tasks + "/" + thread.Name() + "/status")
		labtest.Must(t, err)
		admin := fmt.Sprintf("%016x", 1<<unix.CAP_NET_ADMIN)
		for field, want := range map[string]string{
			"CapPrm": admin, "CapEff": admin, "CapBnd": admin, "NoNewPrivs": "1",
			"Uid": strings.TrimSuffix(strings.Repeat(strconv.Itoa(id)+"\t", 4), "\t"),
		} {
			got := regexp.MustCompile(`(?m)^` + field + `:\t(.*)$`).FindSubmatch(status)
			if got == nil || string(got[1]) != want {
				t.Errorf("thread %s: %s is %q, want %q", thread.Name(), field, got, want)
			}
		}
	}
	p.Terminate(t)
}
