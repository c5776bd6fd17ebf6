// SPDX-License-Identifier: GPL-2.0-or-later

package netlab

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SetFeatures switches offloads of an interface on and off, by the names that ethtool shows:
// "rx-gro-list", "tx-udp-segmentation" (linux/ethtool_netlink.h).
func (h *Host) SetFeatures(name string, features map[string]bool) error {
	if err := h.setFeatures(name, features); err != nil {
		return fmt.Errorf("netlab: %s: features %v: %w", name, features, err)
	}
	return nil
}

func (h *Host) setFeatures(name string, features map[string]bool) error {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: h.FD()})
	if err != nil {
		return err
	}
	defer c.Close()
	family, err := ethtoolFamily(c)
	if err != nil {
		return err
	}
	type encoder = netlink.AttributeEncoder
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.ETHTOOL_A_FEATURES_HEADER, func(ae *encoder) error {
		ae.String(unix.ETHTOOL_A_HEADER_DEV_NAME, name)
		return nil
	})
	ae.Nested(unix.ETHTOOL_A_FEATURES_WANTED, func(ae *encoder) error {
		ae.Nested(unix.ETHTOOL_A_BITSET_BITS, func(ae *encoder) error {
			for feature, on := range features {
				ae.Nested(unix.ETHTOOL_A_BITSET_BITS_BIT, func(ae *encoder) error {
					ae.String(unix.ETHTOOL_A_BITSET_BIT_NAME, feature)
					ae.Flag(unix.ETHTOOL_A_BITSET_BIT_VALUE, on)
					return nil
				})
			}
			return nil
		})
		return nil
	})
	data, err := genericMessage(unix.ETHTOOL_MSG_FEATURES_SET, ae)
	if err != nil {
		return err
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(family),
			Flags: netlink.Request | netlink.Acknowledge,
		},
		Data: data,
	})
	return err
}

// ethtoolFamily returns the number of the generic netlink family ethtool.
func ethtoolFamily(c *netlink.Conn) (uint16, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.CTRL_ATTR_FAMILY_NAME, "ethtool")
	data, err := genericMessage(unix.CTRL_CMD_GETFAMILY, ae)
	if err != nil {
		return 0, err
	}
	replies, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL, Flags: netlink.Request},
		Data:   data,
	})
	if err != nil {
		return 0, err
	}
	for _, r := range replies {
		ad, err := netlink.NewAttributeDecoder(r.Data[unix.GENL_HDRLEN:])
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() == unix.CTRL_ATTR_FAMILY_ID {
				return ad.Uint16(), nil
			}
		}
	}
	return 0, errors.New("no reply with the family ethtool")
}

// genericMessage returns a generic netlink header and attributes.
func genericMessage(command uint8, ae *netlink.AttributeEncoder) ([]byte, error) {
	attrs, err := ae.Encode()
	return append([]byte{command, 1, 0, 0}, attrs...), err
}
