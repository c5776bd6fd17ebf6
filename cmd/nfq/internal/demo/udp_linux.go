// SPDX-License-Identifier: GPL-2.0-or-later

package demo

import "context"

// datagrams is what is sent to the UDP ports, and what must arrive.
var datagrams = []struct {
	kind       kind
	sent, want []string
}{
	{udpAccepted, []string{"first", "second"}, []string{"first", "second"}},
	{udpDropped, []string{"first", "second"}, nil},
	{udpReplaced, []string{"the cat sat", "nobody sat"}, []string{"the dog sat", "nobody sat"}},
	{
		udpLengthened,
		[]string{"the cat sat", "nobody sat"},
		[]string{"the elephant sat", "nobody sat"},
	},
	{udpCounted, []string{"first", "second"}, []string{"first", "second"}},
	{udpFiltered, []string{"first", "second"}, nil},
}

// udp sends datagrams to several ports.
func (p *path) udp(ctx context.Context) error {
	for _, d := range datagrams {
		f := p.flow(d.kind)
		if _, err := p.listenUDP(ctx, d.kind.udpPort(), f); err != nil {
			return err
		}
		client, err := p.dialUDP(ctx, d.kind.udpPort(), nil)
		if err != nil {
			return err
		}
		want := d.want
		if d.kind.replaced() {
			want = replaced(p, d.sent, d.want)
		}
		for _, text := range want {
			f.want = append(f.want, []byte(text))
		}
		for _, text := range d.sent {
			f.send([]byte(text))
			if _, err := client.Write([]byte(text)); err != nil {
				return err
			}
		}
	}
	return p.fence()
}
