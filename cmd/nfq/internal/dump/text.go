// SPDX-License-Identifier: GPL-2.0-or-later

package dump

import (
	"bufio"
	"io"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/packetview"
)

// Text is an Output of text, such as packetview.Printer makes.
type Text struct {
	to   *bufio.Writer
	form func(b []byte, r *packetview.Record) []byte
	text []byte
}

// NewText makes an Output to which form appends the text of each packet.
func NewText(to io.Writer, form func(b []byte, r *packetview.Record) []byte) *Text {
	return &Text{to: bufio.NewWriterSize(to, 1<<16), form: form}
}

// Write is Output's.
func (t *Text) Write(r *packetview.Record) error {
	t.text = t.form(t.text[:0], r)
	_, err := t.to.Write(t.text)
	return err
}

// Flush is Output's.
func (t *Text) Flush() error { return t.to.Flush() }
