// SPDX-License-Identifier: GPL-2.0-or-later

package connection

import (
	"bytes"

	"github.com/chifflier/nfqueue-go"
)

// key identifies a connection: it is equal for the packets of both directions.
type key struct {
	low, high         [16]byte // addresses, IPv4 ones mapped
	lowPort, highPort uint16   // the ICMP identifier is in both
	protocol          nfqueue.Protocol
}

// keyOf returns the key of a packet's flow, and whether the packet goes from the high end
// to the low one.
func keyOf(f *nfqueue.Flow) (k key, down bool) {
	k = key{f.Src.As16(), f.Dst.As16(), f.SrcPort, f.DstPort, f.Protocol}
	if f.ICMPID != 0 {
		k.lowPort, k.highPort = f.ICMPID, f.ICMPID
	}
	order := bytes.Compare(k.low[:], k.high[:])
	if down = order > 0 || order == 0 && k.lowPort > k.highPort; down {
		k.low, k.high = k.high, k.low
		k.lowPort, k.highPort = k.highPort, k.lowPort
	}
	return k, down
}
