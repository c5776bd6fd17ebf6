// SPDX-License-Identifier: GPL-2.0-or-later

package rewrite_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/internal/queuetest/queuelab"
)

// TestRewriteTunnel changes the header of packets of a tunnel that carries a stream. A packet with
// an incomplete checksum inside cannot be changed, and arrives as it was; the others arrive
// changed.
func TestRewriteTunnel(t *testing.T) {
	labtest.NeedReplace(t)
	for _, f := range queuelab.Families {
		for _, hook := range []netlab.Hook{netlab.Output, netlab.Input} {
			for _, flags := range []nfqueue.Flags{0, nfqueue.NoGSO} {
				noGSO := flags == nfqueue.NoGSO
				name := f.Name + map[netlab.Hook]string{netlab.Output: "/output",
					netlab.Input: "/input"}[hook] +
					map[bool]string{false: "/GSO", true: "/NoGSO"}[noGSO]
				t.Run(name, func(t *testing.T) {
					n := labtest.Pair(t)
					_, server, err := n.Tunnel(f.Rules == netlab.IP6)
					labtest.Must(t, err)
					host := n.Client
					if hook == netlab.Input {
						host = n.Server
					}
					labtest.Rule(t, labtest.Chain(t, host, f.Rules, hook, 0),
						netlab.L4Proto(queuelab.UDP), netlab.DstPort(netlab.VXLANPort),
						netlab.ToQueue(netlab.Queue{Num: 1}))
					replaced, refused := 0, 0
					q := queuelab.Serve(t, host, nfqueue.Config{Queue: 1, Flags: flags},
						func(p *nfqueue.Packet) nfqueue.Verdict {
							b := p.Payload()
							b[1] |= 0x20 // of the Type of Service, or Traffic Class
							switch err := p.SetPayload(b); {
							case err == nil:
								replaced++
							case errors.Is(err, errors.ErrUnsupported) && p.SKBInfo()&nfqueue.ChecksumNotReady != 0:
								refused++
							default:
								t.Error(err)
							}
							return nfqueue.Accept
						})
					data := strings.Repeat("stream ", 30000)
					l, sent := listenStream(t, n, server), make(chan error, 1)
					go func() {
						c, err := dialStream(n, l.Addr())
						if err != nil {
							sent <- err
							return
						}
						_, err = io.WriteString(c, data)
						sent <- errors.Join(err, c.Close())
					}()
					if got := queuelab.ReadAll(t, l); got != data {
						t.Errorf("%d bytes of %d arrived, or others", len(got), len(data))
					}
					labtest.Must(t, queuelab.WaitFor(t, sent))
					queuelab.Stop(t, q)
					if noGSO && (replaced == 0 || refused != 0) || !noGSO && refused == 0 {
						t.Errorf("%d packets were replaced, and %d not", replaced, refused)
					}
				})
			}
		}
	}
}
