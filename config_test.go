// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if c.Flags != GSO || c.CopyMode != CopyPacket || c.CopyRange != MaxPayload || c.MaxLen != 1024 || c.Batch != 96 ||
		c.FlushAfter != 100*time.Microsecond || c.Fallback != Drop || c.Logger == nil {
		t.Errorf("%+v", c)
	}
	small, frame := kernel.Charge()
	if c.ReadBuffer < 1024*frame {
		t.Errorf("receive buffer of %d bytes does not hold MaxLen frames", c.ReadBuffer)
	}
	if c, _ := (Config{CopyMode: CopyMeta, CopyRange: 100, NoGSO: true, MaxLen: 10}).withDefaults(); c.CopyRange != 0 || c.Flags != 0 || c.ReadBuffer != 10*small {
		t.Errorf("%+v", c)
	}
	if size := slotSize(c); size < 65591+4096 {
		t.Errorf("slots of %d bytes do not hold the largest message", size)
	}
}

func TestConfigErrors(t *testing.T) {
	for field, c := range map[string]Config{
		"Fallback":     {Fallback: Repeat},
		"CopyMode":     {CopyMode: 3},
		"Flags":        {Flags: 0x20},
		"NoGSO":        {Flags: GSO, NoGSO: true},
		"Batch":        {Batch: 1025},
		"ReadBuffer":   {ReadBuffer: -1},
		"FlushAfter":   {FlushAfter: -1},
		"DrainTimeout": {DrainTimeout: -1},
		"NetNS":        {NetNS: -1},
	} {
		if _, err := c.withDefaults(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v does not name the field", field, err)
		}
	}
}

// TestConfigMessage compares with the bytes of the kernel's structures.
func TestConfigMessage(t *testing.T) {
	mode, maxLen := CopyPacket, uint32(4096)
	c := change{cmd: cmdBind, copyMode: &mode, copyRange: 0xfffb, maxLen: &maxLen, mask: FailOpen | GSO, flags: GSO}
	host16 := func(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
	host32 := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	want := bytes.Join([][]byte{
		host32(64), host16(0x0302), host16(5), host32(9), host32(0), // nlmsghdr
		{0, 0, 2, 1},                       // nfgenmsg: queue 513
		host16(8), host16(1), {1, 0, 0, 0}, // CMD: BIND
		host16(9), host16(2), {0, 0, 0xff, 0xfb, 2}, {0, 0, 0}, // PARAMS
		host16(8), host16(3), {0, 0, 0x10, 0}, // QUEUE_MAXLEN
		host16(8), host16(5), {0, 0, 0, 4}, // FLAGS
		host16(8), host16(4), {0, 0, 0, 5}, // MASK
	}, nil)
	if got := c.appendTo(nil, 513, 9); !bytes.Equal(got, want) {
		t.Errorf("message\n% x, want\n% x", got, want)
	}
}
