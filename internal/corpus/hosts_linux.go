// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// Each runs a scenario over both families.
func Each(n *netlab.Network, scenario func(client, server netip.Addr)) {
	scenario(n.Client4, n.Server4)
	scenario(n.Client6, n.Server6)
}

// Listen makes a TCP listener in a host, and closes it when the test ends.
func Listen(t testing.TB, h *netlab.Host, at netip.AddrPort) net.Listener {
	t.Helper()
	l, err := netlab.In(
		h, func() (net.Listener, error) { return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) },
	)
	labtest.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// Dial connects a host to a TCP address. The deadline of the connection is after Patience.
func Dial(h *netlab.Host, to netip.AddrPort) (net.Conn, error) {
	c, err := netlab.In(
		h, func() (net.Conn, error) { return net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to)) },
	)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(Patience))
}

// MustDial is Dial, but ends the test if that fails, and closes the connection when the test ends.
func MustDial(t testing.TB, h *netlab.Host, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := Dial(h, to)
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// OpenUDP makes a UDP socket in a host, and closes it when the test ends.
func OpenUDP(t testing.TB, h *netlab.Host, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := netlab.In(
		h, func() (*net.UDPConn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) },
	)
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// DialUDP makes a UDP socket in a host that sends to an address. Its deadline is after Patience.
func DialUDP(h *netlab.Host, to netip.AddrPort) (*net.UDPConn, error) {
	c, err := netlab.In(
		h, func() (*net.UDPConn, error) { return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) },
	)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(Patience))
}

// MustDialUDP is DialUDP, but ends the test if that fails, and closes the socket when the test
// ends.
func MustDialUDP(t testing.TB, h *netlab.Host, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := DialUDP(h, to)
	labtest.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// Soon bounds a test.
func Soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Identity returns the configurations of a server with a certificate for a name, and of
// a client that trusts it.
func Identity(t testing.TB, name string) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	labtest.Must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	labtest.Must(t, err)
	cert, err := x509.ParseCertificate(der)
	labtest.Must(t, err)
	trusted := x509.NewCertPool()
	trusted.AddCert(cert)
	return &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			MinVersion:   tls.VersionTLS12,
		},
		&tls.Config{
			RootCAs:    trusted,
			ServerName: name,
			MinVersion: tls.VersionTLS12,
		}
}
