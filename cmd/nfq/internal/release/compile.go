// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"os/exec"
)

// variants is the oldest hardware that each architecture is built for. Many routers with MIPS have
// no floating point.
var variants = []string{
	"GOAMD64=v1", "GO386=sse2", "GOARM64=v8.0", "GOARM=6", "GORISCV64=rva20u64", "GOPPC64=power8",
	"GOMIPS=softfloat", "GOMIPS64=softfloat",
}

// compile builds nfq. Nothing of the machine gets into the binary, neither paths nor the state of a
// checkout.
func (r release) compile(arch, binary string) error {
	const variable = "github.com/chifflier/nfqueue-go/cmd/nfq/internal/cli.release"
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+variable+"="+r.version, "-o", binary, ".")
	cmd.Dir = "cmd/nfq"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOEXPERIMENT=",
		"GOFIPS140=off")
	cmd.Env = append(cmd.Env, variants...)
	if r.tagged {
		cmd.Env = append(cmd.Env, "GOWORK=off")
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
