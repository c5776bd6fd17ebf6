// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"golang.org/x/sys/unix"
)

// The names are those that tcpdump 4.99 gives its files.
func TestRotationNames(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, test := range []struct {
		rotation rotation
		name     string
		want     []string
	}{
		{rotation{}, "x", []string{"x", "x", "x"}},
		{rotation{megabytes: 1}, "x", []string{"x", "x1", "x2"}},
		{rotation{megabytes: 1, files: 2}, "x", []string{"x0", "x1", "x0"}},
		{rotation{megabytes: 1, files: 11}, "x", []string{"x00", "x01", "x02"}},
		{rotation{seconds: 9}, "x%H%M%S", []string{"x050607", "x050607", "x050607"}},
		{rotation{seconds: 9, files: 3}, "%F-%s%%", []string{"2026-03-04-1772600767%",
			"2026-03-04-1772600767%", "2026-03-04-1772600767%"}},
		{rotation{seconds: 9, megabytes: 1}, "x%j", []string{"x063", "x0631", "x0632"}},
	} {
		if err := test.rotation.check(test.name); err != nil {
			t.Error(err)
		}
		var got []string
		for n := range uint32(3) {
			got = append(got, test.rotation.name(test.name, n, at))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v of %s: %q, want %q", test.rotation, test.name, got, test.want)
		}
	}
	for _, wrong := range []struct {
		rotation rotation
		name     string
	}{
		{rotation{files: 2}, "x"}, {rotation{megabytes: 2}, ""}, {rotation{seconds: 2}, "-"},
		{rotation{seconds: 2}, "x%Q"}, {rotation{seconds: 2}, "x%"},
	} {
		if err := wrong.rotation.check(wrong.name); err == nil {
			t.Errorf("%+v of %q is accepted", wrong.rotation, wrong.name)
		}
	}
}

func TestRotationDue(t *testing.T) {
	began := time.Unix(1000, 0)
	r := rotation{megabytes: 2, seconds: 10}
	for _, test := range []struct {
		size  int64
		after time.Duration
		want  bool
	}{{1_999_999, 9 * time.Second, false}, {2_000_000, 0, true}, {0, 10 * time.Second, true}} {
		if got := r.due(test.size, began, began.Add(test.after)); got != test.want {
			t.Errorf("%d bytes after %v: %v", test.size, test.after, got)
		}
	}
	if r.last(5) || !(rotation{seconds: 1, files: 5}).last(5) ||
		(rotation{seconds: 1, files: 5}).last(4) {
		t.Error("wrong last file")
	}
}

// TestFullAtOnce: a file whose disk is full at the first packet keeps its header.
func TestFullAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	r, err := record(name, rotation{}, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.file.Close()
	p := &packetview.Record{Time: time.Unix(1, 0), Data: make([]byte, 100), Length: 100}
	if err := r.Write(p); err != nil {
		t.Fatal(err)
	}
	all := r.pending.Bytes()
	n, err := r.file.Write(all[:len(all)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cut(n, unix.ENOSPC); err != unix.ENOSPC {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 28 || len(got) > n-100 || !bytes.HasPrefix(all, got) {
		t.Errorf("%d bytes of %d stay: %x", len(got), n, got)
	}
}
