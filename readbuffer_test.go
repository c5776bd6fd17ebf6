// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/kernel"
)

// stingy is a kernel that grants no more than so many bytes.
type stingy struct {
	devNull
	granted int
}

func (s stingy) SetReadBuffer(n int) (int, error) { return min(n, s.granted), nil }

// TestReadBufferWarning: a buffer that does not hold MaxLen frames is reported with
// the sysctl and the value to set.
func TestReadBufferWarning(t *testing.T) {
	_, frame := kernel.Charge()
	sysctl := func(bytes int) string { return fmt.Sprintf("net.core.rmem_max=%d", bytes/2) }
	for _, c := range []struct {
		cfg     Config
		granted int
		warning string
	}{
		{Config{}, 1 << 30, ""},
		{Config{}, 1024 * frame, ""}, // the reserve for GSO is not insisted on
		{Config{}, 425984, sysctl(1024*frame + kernel.ReserveForGSO)},
		{Config{MaxLen: 4096, Flags: NoGSO}, 1024 * frame, sysctl(4096 * frame)},
		{Config{ReadBuffer: 1 << 20}, 425984, sysctl(1 << 20)},
	} {
		var log bytes.Buffer
		c.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg, err := c.cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		q := newQueue(stingy{granted: c.granted}, cfg)
		granted, err := q.conn.SetReadBuffer(q.cfg.ReadBuffer)
		if err != nil {
			t.Error(err)
		}
		q.warnReadBuffer(granted)
		q.Close()
		if got := log.String(); (c.warning == "") != (got == "") || !strings.Contains(got, c.warning) {
			t.Errorf("%+v with %d bytes granted: log %q, want %q", c.cfg, c.granted, got, c.warning)
		}
	}
}

// TestReadBufferNoWarning: what is too small for a queue that cannot be opened is not
// reported; the error alone says what to do.
func TestReadBufferNoWarning(t *testing.T) {
	var log bytes.Buffer
	cfg, err := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if _, err := openOver(stingyRefuser{stingy{granted: 1}, refused}, cfg); !errors.Is(err, refused) {
		t.Errorf("opened with %v", err)
	}
	if log.Len() != 0 {
		t.Errorf("logged %q", &log)
	}
}

// stingyRefuser takes no configuration either.
type stingyRefuser struct {
	stingy
	err error
}

func (s stingyRefuser) Send([][]byte) error { return s.err }
