// SPDX-License-Identifier: GPL-2.0-or-later

// Package quic records what package corpus cannot without a further dependency.
package quic

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/netip"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/corpus"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/net/quic"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// TestQUIC makes a handshake of QUIC version 1 and exchanges a few bytes.
func TestQUIC(t *testing.T) {
	n, _ := corpus.Record(t, "quic")
	corpus.Each(n, func(client, server netip.Addr) {
		ctx := corpus.Soon(t)
		serverConfig, clientConfig := corpus.Identity(t, "www.example.org")
		for _, c := range []*tls.Config{serverConfig, clientConfig} {
			c.MinVersion, c.NextProtos = tls.VersionTLS13, []string{"echo"}
		}
		to := netip.AddrPortFrom(server, 443)
		s, err := quic.NewEndpoint(corpus.OpenUDP(t, n.Server, to),
			&quic.Config{TLSConfig: serverConfig})
		labtest.Must(t, err)
		c, err := quic.NewEndpoint(corpus.OpenUDP(t, n.Client, netip.AddrPortFrom(client, 0)), nil)
		labtest.Must(t, err)
		done := make(chan error, 1)
		go func() {
			done <- func() error {
				conn, err := s.Accept(ctx)
				if err != nil {
					return err
				}
				stream, err := conn.AcceptStream(ctx)
				if err != nil {
					return err
				}
				b, err := io.ReadAll(stream)
				if err != nil {
					return err
				}
				if _, err := stream.Write(bytes.ToUpper(b)); err != nil {
					return err
				}
				return stream.Close()
			}()
		}()
		conn, err := c.Dial(ctx, "udp", to.String(), &quic.Config{TLSConfig: clientConfig})
		labtest.Must(t, err)
		stream, err := conn.NewStream(ctx)
		labtest.Must(t, err)
		_, err = io.WriteString(stream, "a secret")
		labtest.Must(t, err)
		stream.CloseWrite()
		if b, err := io.ReadAll(stream); err != nil || string(b) != "A SECRET" {
			t.Errorf("%q, %v", b, err)
		}
		labtest.Must(t, <-done)
		labtest.Must(t, c.Close(ctx))
		labtest.Must(t, s.Close(ctx))
	})
}
