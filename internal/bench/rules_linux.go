// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"fmt"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"golang.org/x/sys/unix"
)

const (
	protoTCP = unix.IPPROTO_TCP
	protoUDP = unix.IPPROTO_UDP
)

// addChain makes a table of its own with one chain on a hook of host.
func addChain(host *netlab.Host, hook netlab.Hook) (*netlab.Chain, error) {
	table, err := host.AddTable(netlab.Inet, fmt.Sprintf("bench-%d", hook))
	if err != nil {
		return nil, err
	}
	return table.AddChain("bench", hook, 0, netlab.PolicyAccept)
}
