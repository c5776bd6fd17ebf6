// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"debug/elf"
	"fmt"
)

// machines are the ELF machines of the architectures.
var machines = map[string]elf.Machine{
	"amd64": elf.EM_X86_64, "386": elf.EM_386, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM,
	"riscv64": elf.EM_RISCV, "ppc64le": elf.EM_PPC64,
	"s390x": elf.EM_S390, "mips": elf.EM_MIPS, "mipsle": elf.EM_MIPS, "mips64le": elf.EM_MIPS,
	"loong64": elf.EM_LOONGARCH,
}

// checkStatic fails unless a binary is for the architecture and runs without any library.
func checkStatic(path, arch string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if f.Machine != machines[arch] {
		return fmt.Errorf("%s is for %v, not %v", path, f.Machine, machines[arch])
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static: it asks for an interpreter", path)
		}
	}
	if needed, err := f.DynString(elf.DT_NEEDED); err == nil && len(needed) > 0 {
		return fmt.Errorf("%s is not static: it needs %v", path, needed)
	}
	return nil
}
