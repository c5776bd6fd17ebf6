// SPDX-License-Identifier: GPL-2.0-or-later

package conformance_test

import (
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/conformance"
	"github.com/chifflier/nfqueue-go/internal/fakekernel"
	"github.com/chifflier/nfqueue-go/internal/transport"
)

// fakeSocket is a socket of the kernel in memory.
type fakeSocket struct {
	t    *testing.T
	conn *fakekernel.Conn
}

func TestFakeNetlink(t *testing.T) {
	conformance.TestNetlink(t, func(t *testing.T) func() conformance.Socket {
		k := fakekernel.New()
		return func() conformance.Socket { return &fakeSocket{t, k.Dial()} }
	})
}

func (s *fakeSocket) Send(b []byte) {
	if err := s.conn.Send([][]byte{b}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSocket) Receive() []byte {
	slab := transport.NewSlab(1, 1<<17)
	err := s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err == nil {
		_, err = s.conn.Recv(slab)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return slab.Slot(0)[:slab.Datagram(0).Len]
}

func (s *fakeSocket) Close() { s.conn.Close() }
