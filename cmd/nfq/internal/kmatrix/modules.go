// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wanted are the modules that the tests need. Nothing in a guest loads modules on
// demand. Modules that a kernel has built in, or does not have, are left out.
var wanted = []string{
	"crc32c_generic", // first: others need the algorithm when they are loaded, and no list says so
	"nfnetlink_queue", "nf_conntrack_netlink", "nfnetlink_cthelper", "nf_conntrack_bridge",
	"nf_conntrack_ftp",
	"nft_queue", "nft_ct", "nft_counter", "nft_objref", "nft_compat", "nft_meta_bridge",
	"nft_reject_inet", "nft_socket",
	"nft_chain_nat", "nft_nat", "nft_redir", "nft_synproxy",
	"xt_NFQUEUE", "xt_mark", "xt_tcpudp", "iptable_filter", "iptable_mangle", "ip6table_filter",
	"8021q", "bridge", "br_netfilter", "veth", "dummy", "sctp", "vxlan",
}

// module is a kernel module to load.
type module struct {
	name string
	data []byte
}

// loader puts modules in the order in which they can be loaded.
type loader struct {
	read func(name string) ([]byte, error) // fs.ErrNotExist if the kernel has no such module
	info func(data []byte) ([]byte, error) // its section .modinfo

	loaded map[string]bool
	order  []module
}

// modules returns the wanted modules of the kernel in dir, and those that they need,
// in the order in which to load them.
func modules(dir string) ([]module, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if base, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			files[moduleName(base)] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	l := loader{
		read: func(name string) ([]byte, error) {
			if files[name] == "" {
				return nil, fs.ErrNotExist
			}
			return readModule(files[name])
		},
		info: modinfo,
	}
	for _, name := range wanted {
		if err := l.add(name); err != nil {
			return nil, err
		}
	}
	return l.order, nil
}

// add adds a module behind those that it needs.
func (l *loader) add(name string) error {
	name = moduleName(name)
	if l.loaded[name] {
		return nil
	}
	if l.loaded == nil {
		l.loaded = make(map[string]bool)
	}
	l.loaded[name] = true
	data, err := l.read(name)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := l.info(data)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	for _, needed := range dependencies(info) {
		if err := l.add(needed); err != nil {
			return err
		}
	}
	l.order = append(l.order, module{name, data})
	return nil
}

// moduleName returns the name by which the kernel knows a module; files and
// dependencies may have dashes.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// dependencies returns what a module wants to be loaded before it.
func dependencies(info []byte) (names []string) {
	for _, field := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			names = append(names, strings.Split(list, ",")...)
		}
		if list, ok := strings.CutPrefix(field, "softdep="); ok {
			pre := false
			for _, word := range strings.Fields(list) {
				switch {
				case strings.HasSuffix(word, ":"):
					pre = word == "pre:"
				case pre:
					names = append(names, word)
				}
			}
		}
	}
	return names
}

// readModule reads a module, which may be compressed.
func readModule(file string) ([]byte, error) {
	switch filepath.Ext(file) {
	case ".ko":
		return os.ReadFile(file)
	case ".xz":
		return output(exec.Command("xz", "-dc", file))
	}
	return nil, fmt.Errorf("%s: unknown compression", file)
}

func modinfo(data []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	return section.Data()
}
