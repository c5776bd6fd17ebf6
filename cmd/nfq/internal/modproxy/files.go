// SPDX-License-Identifier: GPL-2.0-or-later

package modproxy

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/mod/zip"
)

// diskFile is a file of a checkout.
type diskFile struct {
	name string // in the module
	at   string
}

func (f diskFile) Path() string                 { return f.name }
func (f diskFile) Lstat() (fs.FileInfo, error)  { return os.Lstat(f.at) }
func (f diskFile) Open() (io.ReadCloser, error) { return os.Open(f.at) }

// memoryFile is one with other content.
type memoryFile struct {
	diskFile
	content []byte
}

func (f memoryFile) Lstat() (fs.FileInfo, error) {
	info, err := f.diskFile.Lstat()
	return memoryInfo{info, int64(len(f.content))}, err
}

func (f memoryFile) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(f.content)), nil
}

type memoryInfo struct {
	fs.FileInfo
	size int64
}

func (i memoryInfo) Size() int64 { return i.size }

// content reads a file.
func content(f zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if closed := r.Close(); err == nil {
		err = closed
	}
	return b, err
}

// find returns the content of the file with a name.
func find(files []zip.File, name string) ([]byte, error) {
	for _, f := range files {
		if f.Path() == name {
			return content(f)
		}
	}
	return nil, fmt.Errorf("the module has no file %s", name)
}
