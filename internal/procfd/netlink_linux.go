// SPDX-License-Identifier: GPL-2.0-or-later

package procfd

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// NetlinkTable is the kernel's table of the netlink sockets of the network namespace of the thread
// that opens it.
const NetlinkTable = "/proc/thread-self/net/netlink"

// Netlink is what NetlinkTable tells of a socket.
type Netlink struct {
	Inode  uint64
	Unread uint32 // bytes charged to the receive buffer
}

// ParseNetfilter returns the NETLINK_NETFILTER sockets of a NetlinkTable by their port ids. It
// parses what netlink_seq_show of af_netlink.c prints: a line of titles, then address, protocol,
// port id, groups, bytes to read, bytes to write, dump state, references, drops, inode.
func ParseNetfilter(table []byte) (map[uint32]Netlink, error) {
	const protocol, portID, unread, inode = 1, 2, 4, 9
	sockets := make(map[uint32]Netlink)
	first := true
	for line := range bytes.Lines(table) {
		if first {
			first = false
			continue
		}
		f := bytes.Fields(line)
		if len(f) <= inode {
			return nil, fmt.Errorf("netlink sockets: %d columns in %q, want at least %d",
				len(f), line, inode+1)
		}
		if string(f[protocol]) != strconv.Itoa(unix.NETLINK_NETFILTER) {
			continue
		}
		port, err1 := strconv.ParseUint(string(f[portID]), 10, 32)
		used, err2 := strconv.ParseUint(string(f[unread]), 10, 32)
		node, err3 := strconv.ParseUint(string(f[inode]), 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("netlink sockets: not a number in %q", line)
		}
		sockets[uint32(port)] = Netlink{Inode: node, Unread: uint32(used)}
	}
	return sockets, nil
}
