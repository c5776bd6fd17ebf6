// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import "github.com/chifflier/nfqueue-go/internal/kernel"

// superArrives reports whether a super-packet of UDP gets over lo as it is. Linux 5.10 and before
// cut it there (NETIF_F_GSO_UDP_L4), and lose segments when many come at once.
func superArrives() bool {
	ok, err := kernel.AtLeast(5, 11)
	return ok || err != nil
}
