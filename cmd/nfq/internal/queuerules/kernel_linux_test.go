// SPDX-License-Identifier: GPL-2.0-or-later

package queuerules

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestNFTables(t *testing.T) {
	h := labtest.Host(t)
	if found, err := netlab.In(h, NFTables); len(found) > 0 || err != nil {
		t.Errorf("before: %v, %v", found, err)
	}
	set := labtest.Install(t, h, "out ip udp dport 9 queue 5", "out tcp queue 10-12 nobypass")
	found, err := netlab.In(h, NFTables)
	labtest.Must(t, err)
	if len(found) != 2 || found[0].First != 5 || found[0].Last != 5 || !found[0].Bypass ||
		found[1].First != 10 || found[1].Last != 12 || found[1].Bypass {
		t.Errorf("found %+v", found)
	}
	for _, r := range found {
		if !strings.HasPrefix(r.Where, "nftables inet "+set.Table()+" ") {
			t.Errorf("where %q", r.Where)
		}
	}
	labtest.Must(t, set.Close())
}

// TestXTables puts a rule into the older table of filters, as iptables does.
func TestXTables(t *testing.T) {
	h := labtest.Host(t)
	if strconv.IntSize != 64 {
		t.Skip("the test lays out the table for 64 bits")
	}
	before, err := netlab.In(h, XTables)
	if len(before) > 0 || err != nil {
		t.Errorf("before: %v, %v", before, err)
	}
	err = h.Do(func() error { return addLegacyRule(2, 5, 3) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT) ||
		errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no tables of iptables-legacy")
	}
	labtest.Must(t, err)
	found, err := netlab.In(h, XTables)
	labtest.Must(t, err)
	want := Rule{
		Where:  "iptables-legacy -t filter chain FORWARD rule 1",
		Delete: "iptables-legacy -t filter -D FORWARD 1",
		First:  5, Last: 7, Bypass: true,
	}
	if len(found) != 1 || found[0] != want {
		t.Errorf("found %+v, want %+v", found, want)
	}
}

// addLegacyRule replaces the table "filter" by one that has, besides the policies, a rule in the
// chain of a hook, and after it a chain of its own. See struct ipt_replace, ipt_entry and
// xt_entry_target.
func addLegacyRule(hook int, queue, queues uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p := protocols[0]
	old, err := p.info(fd, "filter") // makes the table
	if err != nil {
		return err
	}
	const policies = 4 // INPUT, FORWARD, OUTPUT, and the end of the table
	const entrySize, standard, errorTarget = 112, 40, 64
	number := binary.NativeEndian
	entry := func(name string, revision byte, size int, data []byte) []byte {
		e := make([]byte, entrySize+size)
		number.PutUint16(e[88:], entrySize)
		number.PutUint16(e[90:], uint16(len(e)))
		target := e[entrySize:]
		number.PutUint16(target, uint16(size))
		copy(target[2:], name)
		target[31] = revision
		copy(target[32:], data)
		return e
	}
	accept := binary.NativeEndian.AppendUint32(nil, 1<<32-1-1) // -NF_ACCEPT-1
	info := number.AppendUint16(number.AppendUint16(number.AppendUint16(nil, queue), queues), 1)
	var entries []byte
	var start, end [5]uint32
	for h := 1; h <= 3; h++ { // NF_INET_LOCAL_IN, FORWARD, LOCAL_OUT
		start[h] = uint32(len(entries))
		if h == hook {
			entries = append(entries, entry(targetName, 3, 40, info)...)
		}
		end[h] = uint32(len(entries))
		entries = append(entries, entry("", 0, standard, accept)...)
	}
	entries = append(entries, entry("ERROR", 0, errorTarget, []byte("ERROR"))...)

	counters, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(counters)
	b := make([]byte, tableNameLen, 96+len(entries))
	copy(b, "filter")
	b = number.AppendUint32(b, old.hooks)
	b = number.AppendUint32(b, policies+1)
	b = number.AppendUint32(b, uint32(len(entries)))
	for _, offsets := range [][5]uint32{start, end} {
		for _, o := range offsets {
			b = number.AppendUint32(b, o)
		}
	}
	b = number.AppendUint32(b, policies) // counters of the table that is replaced
	b = number.AppendUint64(b, uint64(reflect.ValueOf(counters).Pointer()))
	const soSetReplace = 64 // IPT_SO_SET_REPLACE
	return unix.SetsockoptString(fd, p.level, soSetReplace, string(append(b, entries...)))
}
