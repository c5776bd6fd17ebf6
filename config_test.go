// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
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
	if c.Flags != 0 || c.CopyMode != CopyPacket || c.CopyRange != MaxPayload || c.MaxLen != 1024 ||
		c.Batch != 96 || c.FlushAfter != 100*time.Microsecond || c.Fallback != Drop || c.Logger == nil {
		t.Errorf("%+v", c)
	}
	small, frame := kernel.Charge()
	if c.ReadBuffer < 1024*frame {
		t.Errorf("receive buffer of %d bytes does not hold MaxLen frames", c.ReadBuffer)
	}
	meta, _ := Config{CopyMode: CopyMeta, CopyRange: 100, Flags: NoGSO, MaxLen: 10}.withDefaults()
	if meta.CopyRange != 0 || meta.Flags != NoGSO || meta.ReadBuffer != 10*small {
		t.Errorf("%+v", meta)
	}
	long, _ := Config{MaxLen: 0xffff}.withDefaults()
	if long.ReadBuffer != kernel.FramesBuffer(0xffff, MaxPayload)+kernel.ReserveForGSO {
		t.Errorf("a long queue asks for a receive buffer of %d bytes", long.ReadBuffer)
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
