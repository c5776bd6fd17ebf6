// SPDX-License-Identifier: GPL-2.0-or-later

package queuerules

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/chifflier/nfqueue-go/internal/transport/mmsg"
	"golang.org/x/sys/unix"
)

// Options of getsockopt of linux/netfilter_ipv4/ip_tables.h and linux/netfilter_ipv6/ip6_tables.h,
// where they are the same.
const (
	soGetInfo    = 64 // IPT_SO_GET_INFO
	soGetEntries = 65 // IPT_SO_GET_ENTRIES
)

// tableNameLen is XT_TABLE_MAXNAMELEN.
const tableNameLen = 32

// protocol is one of the two that have tables of rules.
type protocol struct {
	command string // that shows and changes the tables
	names   string // file that lists the tables which are there
	domain  int
	level   int
	// offsets is where target_offset is in struct ipt_entry or ip6t_entry, behind struct ipt_ip or
	// ip6t_ip6 and nfcache.
	offsets int
}

var protocols = []protocol{
	{
		"iptables-legacy", "/proc/thread-self/net/ip_tables_names",
		unix.AF_INET, unix.IPPROTO_IP, 84 + 4,
	},
	{
		"ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names",
		unix.AF_INET6, unix.IPPROTO_IPV6, 136 + 4,
	},
}

// XTables returns the rules of the older tables of iptables and ip6tables in the network namespace
// of the calling thread. It needs CAP_NET_ADMIN, and looks only at tables which are there, since
// asking for one makes it.
func XTables() ([]Rule, error) {
	var rules []Rule
	for _, p := range protocols {
		tables, err := p.tables()
		if err != nil {
			return nil, err
		}
		for _, table := range tables {
			found, err := p.rules(table)
			if err != nil {
				return nil, fmt.Errorf("%s -t %s: %w", p.command, table, err)
			}
			rules = append(rules, found...)
		}
	}
	return rules, nil
}

func (p protocol) tables() ([]string, error) {
	f, err := os.Open(p.names)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the kernel has no such tables
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var tables []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		tables = append(tables, lines.Text())
	}
	return tables, lines.Err()
}

// rules reads a table.
func (p protocol) rules(table string) ([]Rule, error) {
	fd, err := unix.Socket(p.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		info, err := p.info(fd, table)
		if err != nil {
			return nil, err
		}
		// struct ipt_get_entries: name, size, entries.
		start := entriesOffset
		b := make([]byte, start+int(info.size))
		copy(b, table)
		binary.NativeEndian.PutUint32(b[tableNameLen:], info.size)
		_, err = mmsg.Getsockopt(uintptr(fd), p.level, soGetEntries, b)
		if errors.Is(err, unix.EAGAIN) {
			continue // it was replaced by a table of another size
		} else if err != nil {
			return nil, err
		}
		return p.parse(table, info, b[start:])
	}
}

// entriesOffset is where the entries start, which are aligned as counters of 64 bits are.
var entriesOffset = func() int {
	if runtime.GOARCH == "386" {
		return tableNameLen + 4
	}
	return tableNameLen + 8
}()

// tableInfo is what the kernel tells of a table: where in the entries the chain of each hook
// starts, NF_INET_* being the index, whether it has that hook, and how long the entries are.
type tableInfo struct {
	hooks uint32 // bits
	entry [5]uint32
	size  uint32
}

// info asks for struct ipt_getinfo: name, hooks, entry of each hook, underflow of each hook, number
// of entries, size.
func (p protocol) info(fd int, table string) (info tableInfo, err error) {
	var b [tableNameLen + 4 + 5*4 + 5*4 + 4 + 4]byte
	copy(b[:], table)
	if _, err := mmsg.Getsockopt(uintptr(fd), p.level, soGetInfo, b[:]); err != nil {
		return info, err
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[tableNameLen+4*i:]) }
	info.hooks, info.size = word(0), word(12)
	for i := range info.entry {
		info.entry[i] = word(1 + i)
	}
	return info, nil
}

// hookChains are the names of the chains of NF_INET_*.
var hookChains = [5]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// parse finds the rules that queue. A chain that is not of a hook starts with a target ERROR, whose
// data are its name.
func (p protocol) parse(table string, info tableInfo, entries []byte) ([]Rule, error) {
	const (
		targetHeader = 32 // of struct xt_entry_target: size, name, revision
		nameAt       = 2
		nameLen      = 29
	)
	malformed := errors.New("the kernel's table is not as expected")
	var rules []Rule
	chain, place := "", 0
	for at := 0; at < len(entries); {
		e := entries[at:]
		if len(e) < p.offsets+4 {
			return nil, malformed
		}
		target := int(binary.NativeEndian.Uint16(e[p.offsets:]))
		next := int(binary.NativeEndian.Uint16(e[p.offsets+2:]))
		if next < target+targetHeader || target < p.offsets+4 || next > len(e) {
			return nil, malformed
		}
		for hook, name := range hookChains {
			if info.hooks>>hook&1 != 0 && info.entry[hook] == uint32(at) {
				chain, place = name, 0
			}
		}
		place++
		t := e[target:next]
		size := int(binary.NativeEndian.Uint16(t))
		if size < targetHeader || size > len(t) {
			return nil, malformed
		}
		name, data := string(cString(t[nameAt:nameAt+nameLen])), t[targetHeader:size]
		switch name {
		case "ERROR":
			chain, place = string(cString(data)), 0
		case targetName:
			r := Rule{
				Where:  fmt.Sprintf("%s -t %s chain %s rule %d", p.command, table, chain, place),
				Delete: fmt.Sprintf("%s -t %s -D %s %d", p.command, table, chain, place),
			}
			if r.setTarget(uint32(t[nameAt+nameLen]), data) {
				rules = append(rules, r)
			}
		}
		at += next
	}
	return rules, nil
}

// cString returns b up to the first zero.
func cString(b []byte) []byte {
	before, _, _ := bytes.Cut(b, []byte{0})
	return before
}
