// SPDX-License-Identifier: GPL-2.0-or-later

package rules_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/chifflier/nfqueue-go/rules"
	"golang.org/x/sys/unix"
)

// TestUnprivileged runs other tests as nobody, who is root of a user namespace only.
func TestUnprivileged(t *testing.T) {
	labtest.Need(t)
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil ||
		strings.Fields(string(m))[2] == "1" {
		t.Skip("this test is unprivileged already")
	}
	const nobody = 65534
	cmd := exec.Command("/proc/self/exe", "-test.v",
		"-test.run=^(TestKilledOwner|TestBypass|TestFamilies|TestOwnership|TestOrder)$")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 5 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNoCapability: the error says what is missing.
func TestNoCapability(t *testing.T) {
	labtest.Need(t)
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		result <- installWithoutCapability()
	}()
	if err := <-result; !errors.Is(err, fs.ErrPermission) ||
		!strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Error(err)
	}
}

// installWithoutCapability changes the calling thread.
func installWithoutCapability() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	set, err := rules.Install(rules.Config{}, rules.Rule{})
	if err == nil {
		_ = set.Close()
	}
	return err
}
