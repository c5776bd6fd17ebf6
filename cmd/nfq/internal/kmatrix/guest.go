// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"strings"
)

// guest is a kernel to test on.
type guest struct {
	name   string
	kernel kernel
	goarch string // of the tests
	user   bool   // the tests run as nobody, in user namespaces
}

// kernel is one that Debian packages.
type kernel struct {
	suite, arch string
	pkg         string // the package that depends on the newest
}

func cloud(suite, arch string) kernel { return kernel{suite, arch, "linux-image-cloud-" + arch} }

// guests are all there are. Their names say the architecture of the tests and the
// version of the kernel. Kernels from 7.1 on treat user namespaces differently. What takes
// longest comes first, so that nothing else waits for it at the end.
var guests = []guest{
	{name: "s390x-6.12", kernel: kernel{"trixie", "s390x", "linux-image-s390x"}, goarch: "s390x"},
	{name: "s390x-6.1", kernel: kernel{"bookworm", "s390x", "linux-image-s390x"}, goarch: "s390x"},
	{name: "arm64-6.1", kernel: cloud("bookworm", "arm64"), goarch: "arm64"},
	{name: "amd64-5.10", kernel: cloud("bullseye", "amd64"), goarch: "amd64"},
	{name: "amd64-6.1", kernel: cloud("bookworm", "amd64"), goarch: "amd64"},
	{name: "amd64-6.12", kernel: cloud("trixie", "amd64"), goarch: "amd64"},
	{name: "amd64-7", kernel: cloud("trixie-backports", "amd64"), goarch: "amd64"},
	{name: "amd64-7-user", kernel: cloud("trixie-backports", "amd64"), goarch: "amd64", user: true},
	{name: "386-6.1", kernel: cloud("bookworm", "amd64"), goarch: "386"},
}

func guestNames() []string {
	var names []string
	for _, g := range guests {
		names = append(names, g.name)
	}
	return names
}

func selectGuests(names []string) ([]guest, error) {
	if len(names) == 0 {
		return guests, nil
	}
	var selected []guest
next:
	for _, name := range names {
		for _, g := range guests {
			if g.name == name {
				selected = append(selected, g)
				continue next
			}
		}
		return nil, fmt.Errorf("no guest %s, only %s", name, strings.Join(guestNames(), " "))
	}
	return selected, nil
}
