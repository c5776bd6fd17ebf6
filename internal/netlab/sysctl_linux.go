// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// SetSysctl writes a sysctl of the host's network namespace. path is below /proc/sys/net, such as
// "ipv4/ip_forward".
func (h *Host) SetSysctl(path, value string) error {
	return h.Do(func() error {
		f, err := os.OpenFile("/proc/sys/net/"+path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("netlab: sysctl: %w", err)
		}
		_, err = f.WriteString(value)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("netlab: sysctl: %w", err)
		}
		return nil
	})
}

// Sysctl reads a sysctl of the host's network namespace, without the newline.
func (h *Host) Sysctl(path string) (string, error) {
	return In(h, func() (string, error) {
		b, err := os.ReadFile("/proc/sys/net/" + path)
		if err != nil {
			return "", fmt.Errorf("netlab: sysctl: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	})
}

// Forward makes the host a router for IPv4 and IPv6.
func (h *Host) Forward() error {
	for _, path := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := h.SetSysctl(path, "1"); err != nil {
			return err
		}
	}
	return nil
}

// FilterBridged makes bridged IPv4 and IPv6 packets traverse the ip and ip6 hooks as well
// (br_netfilter). The error matches errors.ErrUnsupported where the kernel has no br_netfilter for
// this namespace.
func (h *Host) FilterBridged() error {
	for _, path := range []string{"bridge/bridge-nf-call-iptables",
		"bridge/bridge-nf-call-ip6tables"} {
		err := h.SetSysctl(path, "1")
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: load the module br_netfilter (%w)", err, errors.ErrUnsupported)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
