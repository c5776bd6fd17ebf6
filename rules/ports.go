// SPDX-License-Identifier: GPL-2.0-or-later

package rules

import "strconv"

// Ports is a port, or a range of ports that includes both ends. The zero value is any
// port; port 0 alone cannot be matched.
type Ports struct {
	First uint16 // zero for any port
	Last  uint16 // zero if there is only First
}

func (p Ports) normal() Ports {
	if p.Last == p.First {
		p.Last = 0
	}
	return p
}

// String returns "80" or "80-90", and nothing for any port.
func (p Ports) String() string { return p.join("-") }

func (p Ports) join(separator string) string {
	if p == (Ports{}) {
		return ""
	}
	first := strconv.Itoa(int(p.First))
	if p.normal().Last == 0 {
		return first
	}
	return first + separator + strconv.Itoa(int(p.Last))
}
