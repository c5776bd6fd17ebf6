// SPDX-License-Identifier: GPL-2.0-or-later

// Package layerbuild makes packets of the layers of gopacket, for tests.
package layerbuild

import (
	"fmt"

	"github.com/gopacket/gopacket"
)

// Build makes a packet of layers, from the outermost on, with the right lengths and checksums. It
// panics if that is impossible.
func Build(stack ...gopacket.SerializableLayer) []byte {
	must := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("layerbuild: %v", err))
		}
	}
	var network gopacket.NetworkLayer
	for _, l := range stack {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok && network != nil {
			must(c.SetNetworkLayerForChecksum(network))
		}
		if n, ok := l.(gopacket.NetworkLayer); ok {
			network = n
		}
	}
	b := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true,
		ComputeChecksums: true}, stack...))
	return b.Bytes()
}
