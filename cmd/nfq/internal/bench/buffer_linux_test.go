// SPDX-License-Identifier: GPL-2.0-or-later

package bench

import (
	"runtime"
	"testing"
)

func TestBufferCharge(t *testing.T) {
	// Measured on x86-64.
	for size, measured := range map[int]int{64: 832, 228: 1280, 528: 1280, 1028: 2304, 1500: 2304,
		2028: 4352, 4028: 8448, 9028: 16640, 65535: 66335} {
		if got := bufferCharge("amd64", size); got < measured || got > measured+measured/8 {
			t.Errorf("%d bytes: %d, want a little more than %d", size, got, measured)
		}
	}
}

func TestBacklog(t *testing.T) {
	largest, err := largestBuffer()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64, superPacket} {
		packets, buffer, err := backlog(1<<20, size)
		if err != nil || packets < 1 || packets > maxPending || buffer > largest ||
			packets > 1 && buffer < packets*bufferCharge(runtime.GOARCH, size) {
			t.Errorf("%d bytes: %d packets in %d bytes of %d, %v", size, packets, buffer, largest, err)
		}
	}
}
