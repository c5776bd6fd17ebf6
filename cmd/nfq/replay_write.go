// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package main

import (
	"errors"
	"os"

	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// passedFile is the pcapng file of --write. The zero value takes everything and writes
// nothing.
type passedFile struct {
	file *os.File
	w    *pcapgo.NgWriter
}

func createPassed(name string) (*passedFile, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	w, err := pcapgo.NewNgWriterInterface(file,
		pcapgo.NgInterface{LinkType: layers.LinkTypeRaw, TimestampResolution: 9},
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "nfq replay"}})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &passedFile{file, w}, nil
}

// add writes a packet, if it has passed and is IP.
func (f *passedFile) add(r nfqueuetest.Replayed) error {
	ip := r.Spec.EtherType == 0x0800 || r.Spec.EtherType == 0x86dd
	if f.w == nil || !r.Passed || !ip || r.Cause == nfqueuetest.NotIP {
		return nil
	}
	n := len(r.Payload)
	full := n
	if !r.Edits.Payload {
		full = max(n, r.Spec.FullLen)
	}
	return f.w.WritePacket(gopacket.CaptureInfo{Timestamp: r.Spec.Time, CaptureLength: n, Length: full}, r.Payload)
}

func (f *passedFile) close() error {
	if f.w == nil {
		return nil
	}
	return errors.Join(f.w.Flush(), f.file.Close())
}
