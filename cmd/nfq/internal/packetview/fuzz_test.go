// SPDX-License-Identifier: GPL-2.0-or-later

package packetview

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/chifflier/nfqueue-go"
)

// Whatever a packet holds, it is shown in one line and as one object, without a byte that could do
// something to a terminal.
func FuzzPrint(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.r.Data, uint32(s.r.Length), s.r.In)
	}
	f.Fuzz(func(t *testing.T, data []byte, length uint32, device string) {
		r := &Record{
			Family: nfqueue.FamilyIPv4, Data: data, Length: max(int(length%(1<<20)), len(data)),
			In: device, Hook: nfqueue.HookInput,
			SecurityContext: data[:min(8, len(data))], LinkHeader: data[:min(14, len(data))],
		}
		line := (&Printer{}).Append(nil, r)
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("%q is not a line", line)
		}
		for _, text := range [][]byte{line, (&Printer{Verbose: true, Hex: true}).Append(nil, r)} {
			if i := strings.IndexFunc(string(text), unprintable); i >= 0 {
				t.Errorf("%q has %q", text, text[i:])
			}
		}
		object := AppendJSON(nil, r, true)
		if !json.Valid(object) || bytes.Count(object, []byte("\n")) != 1 {
			t.Errorf("%q is not an object in a line", object)
		}
		if strings.IndexFunc(string(object), unprintable) >= 0 {
			t.Errorf("%q is not printable", object)
		}
		if bytes.Contains(object, []byte("not understood")) {
			t.Errorf("a decoder panics: %s", object)
		}
	})
}

func unprintable(c rune) bool {
	return c != '\n' && c != '\t' && (c == unicode.ReplacementChar || !unicode.IsPrint(c))
}
