// SPDX-License-Identifier: GPL-2.0-or-later

package pcapfilter

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// names looks up names.
type names struct {
	hosts    func(string) ([]netip.Addr, error)
	port     func(network, service string) (int, error) // of tcp or udp
	protocol func(string) (uint8, bool)
}

var systemNames = names{hosts: lookUpHosts, port: lookUpPort, protocol: lookUpProtocol}

// lookUpHosts gives up after ten seconds.
func lookUpHosts(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// lookUpPort is net.LookupPort for names as they are in /etc/services, where case matters.
func lookUpPort(network, service string) (int, error) {
	if service != strings.ToLower(service) {
		return 0, errors.New("unknown port")
	}
	return net.LookupPort(network, service)
}

// lookUpProtocol reads /etc/protocols.
func lookUpProtocol(protocol string) (uint8, bool) {
	file, err := os.ReadFile("/etc/protocols")
	if err != nil {
		n, ok := wellKnown[protocol]
		return n, ok
	}
	for line := range strings.Lines(string(file)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line) // the name, the number, other names
		if len(fields) < 2 {
			continue
		}
		for i, f := range fields {
			if f != protocol || i == 1 {
				continue
			}
			n, err := strconv.ParseUint(fields[1], 10, 8)
			return uint8(n), err == nil
		}
	}
	return 0, false
}

// wellKnown is for systems without /etc/protocols.
var wellKnown = map[string]uint8{
	"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58,
	"pim": 103, "vrrp": 112, "sctp": 132, "udplite": 136,
}

// service returns the port of a service, and the protocols that have it under this name: one of TCP
// and UDP, or protoAny for both. A decimal number stands for itself.
func (n names) service(service string) (port uint16, protocol uint8, ok bool) {
	if run(service, "0123456789") == service {
		n, err := strconv.ParseUint(service, 10, 16)
		return uint16(n), protoAny, err == nil
	}
	tcp, tcpErr := n.port("tcp", service)
	udp, udpErr := n.port("udp", service)
	switch {
	case tcpErr == nil && udpErr == nil && tcp == udp:
		return uint16(tcp), protoAny, true
	case tcpErr == nil:
		return uint16(tcp), protoTCP, true
	case udpErr == nil:
		return uint16(udp), protoUDP, true
	}
	return 0, 0, false
}
