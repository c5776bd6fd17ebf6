// SPDX-License-Identifier: GPL-2.0-or-later

package pcapng

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
	"github.com/chifflier/nfqueue-go/internal/pcapread"
)

// Whatever a packet and the names of interfaces hold, the file can be read, and has the packet.
func FuzzWrite(f *testing.F) {
	for _, r := range records() {
		f.Add(r.Data, uint16(r.Length), r.In, r.SecurityContext, r.LinkHeader, r.Time.UnixNano())
	}
	f.Fuzz(func(t *testing.T, data []byte, length uint16, name string, context, link []byte,
		at int64) {
		// The kernel tells nothing longer.
		data, name = data[:min(len(data), 1<<16)], name[:min(len(name), 256)]
		context = context[:min(len(context), 4096)]
		r := &packetview.Record{
			Data: data, Length: int(length), In: name, SecurityContext: context, LinkHeader: link,
			Time: time.Unix(0, max(at, 1)), Hook: nfqueue.HookInput,
		}
		var out bytes.Buffer
		w := NewWriter(&out, 0, "nfq fuzz", "a comment")
		for range 2 {
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		file, err := pcapread.NewReader(&out)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			frame, err := file.Next()
			if err != nil {
				t.Fatal(err)
			}
			header := linkHeader(r)
			if !bytes.Equal(frame.Data, append(header, data...)) || !frame.Time.Equal(r.Time) ||
				frame.Len != max(r.Length, len(data))+len(header) {
				t.Errorf("%+v of %+v", frame, r)
			}
			if frame.Interface != r.Device() {
				t.Errorf("interface %q of %q", frame.Interface, r.Device())
			}
		}
		if _, err := file.Next(); err != io.EOF {
			t.Errorf("behind the last packet: %v", err)
		}
	})
}
