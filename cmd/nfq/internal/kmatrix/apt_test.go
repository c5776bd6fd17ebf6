// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"slices"
	"testing"
)

func TestPlanned(t *testing.T) {
	const plan = `Reading package lists...
The following NEW packages will be installed:
  linux-image-7.3.4
'mirror://example/pool/k/kmod_30_amd64.deb' kmod_30_amd64.deb 95000 SHA256:00
'mirror://example/pool/l/linux-binary-7.3.4-amd64_7.3.4-1_amd64.deb' linux-binary-7.3.4-amd64_7.3.4-1_amd64.deb 1 SHA256:00
'mirror://example/pool/l/linux-modules-7.3.4-amd64_7.3.4-1_amd64.deb' linux-modules-7.3.4-amd64_7.3.4-1_amd64.deb 1 SHA256:00
'mirror://example/pool/l/linux-image-7.3.4-amd64_7.3.4-1_amd64.deb' linux-image-7.3.4-amd64_7.3.4-1_amd64.deb 1 SHA256:00
'mirror://example/pool/l/linux-image-amd64_7.3.4-1_amd64.deb' linux-image-amd64_7.3.4-1_amd64.deb 1 SHA256:00
`
	want := []string{"linux-binary-7.3.4-amd64", "linux-modules-7.3.4-amd64",
		"linux-image-7.3.4-amd64"}
	if got := planned(plan, kernelPackage); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSelectGuests(t *testing.T) {
	if all, err := selectGuests(nil); err != nil || len(all) != len(guests) {
		t.Errorf("no names select %v, %v", all, err)
	}
	some, err := selectGuests([]string{"s390x-6.1", "386-6.1"})
	if err != nil || len(some) != 2 || some[0].goarch != "s390x" || some[1].goarch != "386" {
		t.Errorf("two names select %v, %v", some, err)
	}
	if some, err := selectGuests([]string{"amd64-6.1", "vax-6.1"}); err == nil {
		t.Errorf("an unknown name selects %v", some)
	}
	for _, g := range guests {
		if _, ok := machines[g.kernel.arch]; !ok {
			t.Errorf("%s has no machine", g.name)
		}
	}
}

func TestKernelsLike(t *testing.T) {
	packages := `linux-image-s390x
linux-image-6.12.107+deb13-s390x
linux-image-6.12.107+deb13-s390x-dbg
linux-image-6.12.9+deb13-s390x
linux-image-6.12.117+deb13-s390x
linux-image-6.1.0-50-cloud-amd64
linux-image-6.1.0-9-amd64
linux-image-6.1.0-50-amd64
linux-image-6.1.0-50-rt-amd64
`
	for pkg, want := range map[string][]string{
		"linux-image-s390x": {"linux-image-6.12.117+deb13-s390x",
			"linux-image-6.12.107+deb13-s390x", "linux-image-6.12.9+deb13-s390x"},
		"linux-image-amd64":       {"linux-image-6.1.0-50-amd64", "linux-image-6.1.0-9-amd64"},
		"linux-image-cloud-amd64": {"linux-image-6.1.0-50-cloud-amd64"},
		"qemu-system-x86":         nil,
	} {
		if got := kernelsLike(pkg, packages); !slices.Equal(got, want) {
			t.Errorf("like %s: %q, want %q", pkg, got, want)
		}
	}
}
