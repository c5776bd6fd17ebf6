// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
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
	if r.full(1_999_999) || !r.full(2_000_000) || (rotation{}).full(2_000_000) {
		t.Error("wrong size")
	}
	if r.over(began, began.Add(9*time.Second)) || !r.over(began, began.Add(10*time.Second)) ||
		(rotation{}).over(began, began.Add(time.Hour)) {
		t.Error("wrong time")
	}
	if r.last(5) || !(rotation{seconds: 1, files: 5}).last(5) ||
		(rotation{seconds: 1, files: 5}).last(4) {
		t.Error("wrong last file")
	}
}

// TestRotationBoth: with limits of size and time, files are named by the period, and each period
// counts its own, as tcpdump names them.
func TestRotationBoth(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		limits := rotation{megabytes: 1, seconds: 10, files: 11}
		r, err := record(filepath.Join(dir, "x%S-"), limits, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		p := &packetview.Record{Data: make([]byte, 60_000), Length: 60_000}
		for _, seconds := range []int{0, 4, 3, 4, 0} {
			time.Sleep(time.Duration(seconds) * time.Second)
			for range 17 { // more than a megabyte
				if err := r.Write(p); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if want := []string{"x00-00", "x00-01", "x00-02", "x11-00", "x11-01"}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
}

// TestFullAtOnce: a file whose disk is full at the first packet keeps its header, and what it had
// before, when the standard output is appended to it.
func TestFullAtOnce(t *testing.T) {
	for _, before := range []string{"", "a recording that ended earlier"} {
		name := filepath.Join(t.TempDir(), "x.pcapng")
		r, err := record(name, rotation{}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.file.WriteString(before); err != nil {
			t.Fatal(err)
		}
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
		if err := r.file.Close(); err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, kept := bytes.CutPrefix(file, []byte(before))
		if !kept || len(got) < 28 || len(got) != r.header || !bytes.HasPrefix(all, got) {
			t.Errorf("behind %q, %d bytes of %d stay: %x", before, len(got), n, file)
		}
		if n := r.recorded.Load(); n != 0 {
			t.Errorf("%d packets are recorded", n)
		}
	}
}
