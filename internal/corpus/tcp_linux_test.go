// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

func TestHTTP(t *testing.T) {
	n, _ := Record(t, "http")
	page := "<!doctype html>\n<title>Example</title>\n" +
		strings.Repeat("<p>All of this is text.\n", 150)
	Each(n, func(_, server netip.Addr) {
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, page)
		})}
		l := Listen(t, n.Server, netip.AddrPortFrom(server, 80))
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return Dial(n.Client, netip.AddrPortFrom(server, 80))
			},
		}}
		for _, request := range []func() (*http.Response, error){
			func() (*http.Response, error) { return client.Get("http://www.example.org/index.html") },
			func() (*http.Response, error) {
				return client.Post("http://www.example.org/form", "text/plain", strings.NewReader("name=value"))
			},
		} {
			r, err := request()
			labtest.Must(t, err)
			b, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if err != nil || string(b) != page {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		}
		labtest.Must(t, s.Shutdown(Soon(t)))
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// TestTLS makes a Client Hello that fits into a segment, and one that does not because of
// the key exchange of X25519MLKEM768.
func TestTLS(t *testing.T) {
	n, _ := Record(t, "tls")
	Each(n, func(_, server netip.Addr) {
		serverConfig, clientConfig := Identity(t, "www.example.org")
		clientConfig.NextProtos = []string{"h2", "http/1.1"}
		if server.Is4() {
			clientConfig.CurvePreferences = []tls.CurveID{tls.X25519}
		} else {
			clientConfig.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
		}
		done := accept(Listen(t, n.Server, netip.AddrPortFrom(server, 443)), func(c net.Conn) error {
			s := tls.Server(c, serverConfig)
			b, err := io.ReadAll(s)
			if err == nil {
				_, err = s.Write(bytes.ToUpper(b))
			}
			return errors.Join(err, s.Close())
		})
		c := tls.Client(MustDial(t, n.Client, netip.AddrPortFrom(server, 443)), clientConfig)
		_, err := io.WriteString(c, "a secret")
		labtest.Must(t, err)
		labtest.Must(t, c.CloseWrite())
		if b, err := io.ReadAll(c); err != nil || string(b) != "A SECRET" {
			t.Errorf("%q, %v", b, err)
		}
		labtest.Must(t, c.Close())
		labtest.Must(t, <-done)
	})
}

// TestSSH exchanges versions and algorithms (RFC 4253, sections 4.2, 6 and 7.1), and gives
// up.
func TestSSH(t *testing.T) {
	n, _ := Record(t, "ssh")
	const client, server = "SSH-2.0-client_1.0\r\n", "SSH-2.0-server_1.0\r\n"
	hello := func(c net.Conn, own, other string) error {
		if _, err := c.Write(append([]byte(own), keyExchangeInit()...)); err != nil {
			return err
		}
		r := bufio.NewReader(c)
		version, err := r.ReadString('\n')
		if err == nil && version != other {
			err = fmt.Errorf("version %q", version)
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, r, int64(len(keyExchangeInit())))
		}
		return err
	}
	Each(n, func(_, addr netip.Addr) {
		done := accept(Listen(t, n.Server, netip.AddrPortFrom(addr, 22)),
			func(c net.Conn) error { return hello(c, server, client) })
		c := MustDial(t, n.Client, netip.AddrPortFrom(addr, 22))
		labtest.Must(t, hello(c, client, server))
		labtest.Must(t, c.Close())
		labtest.Must(t, <-done)
	})
}

// keyExchangeInit makes the packet SSH_MSG_KEXINIT.
func keyExchangeInit() []byte {
	payload := append([]byte{20}, make([]byte, 16)...) // with a cookie
	for _, names := range []string{
		"curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519,rsa-sha2-512",
		"aes128-gcm@openssh.com,aes256-ctr", "aes128-gcm@openssh.com,aes256-ctr",
		"hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	} {
		payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(names))), names...)
	}
	payload = append(payload, 0, 0, 0, 0, 0)
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(append(packet, byte(padding)), payload...)
	return append(packet, make([]byte, padding)...)
}

// accept runs a server for one connection and returns what tells of its end.
func accept(l net.Listener, serve func(net.Conn) error) chan error {
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(Patience))
			err = serve(c)
			_ = c.Close()
		}
		done <- err
	}()
	return done
}
