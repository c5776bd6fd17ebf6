// SPDX-License-Identifier: GPL-2.0-or-later

package owner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/procfd"
	"github.com/mdlayher/netlink"
)

// Finder finds owners. It remembers processes from one answer to the next. The zero value is for
// the network namespace of the calling thread. It is safe for concurrent use.
type Finder struct {
	// NetNS is a descriptor of the network namespace of the queue, as in nfqueue.Config.
	NetNS int

	mu      sync.Mutex
	sockets procfd.Sockets
}

// Find returns who has the socket that sends packets of a flow, or else the one that receives them.
// The protocols are TCP, UDP, UDP-Lite, SCTP and DCCP; others match errors.ErrUnsupported, as do
// kernels without the module of a protocol (tcp_diag, udp_diag). With uid, an id
// of the initial user namespace, the answer is of a socket of that user; AnyUser is any. Without a
// socket the error matches ErrNotFound.
func (f *Finder) Find(flow nfqueue.Flow, uid uint32) (Owner, error) {
	if !flow.HasPorts() {
		return Owner{}, fmt.Errorf("owner: a packet without ports has no socket that could be found: %w",
			errors.ErrUnsupported)
	}
	if uid != AnyUser {
		var err error
		if uid, err = mapped(uid); err != nil {
			return Owner{}, fmt.Errorf("owner: %w", err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	conn, err := netlink.Dial(netlinkSockDiag, &netlink.Config{NetNS: f.NetNS})
	if err != nil {
		return Owner{}, fmt.Errorf("owner: sock_diag: %w", err)
	}
	defer func() { _ = conn.Close() }()
	for _, one := range []nfqueue.Flow{flow, flow.Reverse()} {
		owner, err := lookUp(conn, one)
		switch {
		case err == nil && (uid == AnyUser || owner.UID == uid):
			owner.Processes = processes(f.sockets.Find(map[uint64]bool{owner.Inode: true})[owner.Inode])
			return owner, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return Owner{}, fmt.Errorf("owner: sock_diag: %w", err)
		}
	}
	return Owner{}, fmt.Errorf("owner: %w", ErrNotFound)
}

// Numbers of linux/sock_diag.h, linux/inet_diag.h and linux/socket.h.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	afInet, afInet6  = 2, 10
	stateListen      = 10 // TCP_LISTEN
	protocolUDP      = 17
	protocolUDPLite  = 136
)

// Offsets in struct inet_diag_msg.
const (
	offUID    = 64
	offInode  = 68
	lenAnswer = 72
)

// lookUp asks for the socket whose own end is the source of the flow.
func lookUp(conn *netlink.Conn, flow nfqueue.Flow) (Owner, error) {
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request},
		Data:   request(flow),
	})
	if err != nil {
		return Owner{}, err
	}
	for _, a := range answers {
		if len(a.Data) < lenAnswer {
			continue
		}
		inode := uint64(binary.NativeEndian.Uint32(a.Data[offInode:]))
		if inode == 0 || a.Data[1] == stateListen { // closed by its process, or for other connections
			continue
		}
		return Owner{UID: binary.NativeEndian.Uint32(a.Data[offUID:]), Inode: inode}, nil
	}
	return Owner{}, fs.ErrNotExist
}

// request returns struct inet_diag_req_v2 for a socket whose own end is the source of the flow.
func request(flow nfqueue.Flow) []byte {
	own, other := flow.SrcAddrPort(), flow.DstAddrPort()
	if flow.Protocol == protocolUDP || flow.Protocol == protocolUDPLite {
		own, other = other, own // "src and dst are swapped for historical reasons" (udp_diag.c)
	}
	b := make([]byte, 56)
	b[0], b[1] = afInet6, byte(flow.Protocol)
	if flow.Src.Is4() {
		b[0] = afInet
	}
	binary.NativeEndian.PutUint32(b[4:], allOnes) // of all states
	put := func(port, address []byte, end netip.AddrPort) {
		binary.BigEndian.PutUint16(port, end.Port())
		copy(address, end.Addr().AsSlice())
	}
	put(b[8:], b[12:], own)
	put(b[10:], b[28:], other)
	binary.NativeEndian.PutUint32(b[48:], allOnes) // INET_DIAG_NOCOOKIE
	binary.NativeEndian.PutUint32(b[52:], allOnes)
	return b
}

const allOnes = 1<<32 - 1

// processes describes processes, without those that have ended.
func processes(pids []int) (all []Process) {
	for _, pid := range pids {
		name, err := procfd.Name(pid)
		if err != nil {
			continue
		}
		p := Process{PID: pid, Name: name}
		groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		for line := range strings.Lines(string(groups)) {
			if path, ok := strings.CutPrefix(line, "0::"); ok {
				p.Cgroup = strings.TrimSuffix(path, "\n")
			}
		}
		all = append(all, p)
	}
	return all
}
