// SPDX-License-Identifier: GPL-2.0-or-later

package checksum

import (
	"fmt"
	"testing"
)

var sizes = []int{20, 64, 576, 1500, 9000, 65531}

func BenchmarkAdd(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := random(n)
			b.SetBytes(int64(n))
			var sum uint64
			for b.Loop() {
				sum = Add(sum&0xffff, buf)
			}
		})
	}
}

func BenchmarkSCTP(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := random(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				SCTP(buf)
			}
		})
	}
}
