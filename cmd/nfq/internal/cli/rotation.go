// SPDX-License-Identifier: GPL-2.0-or-later

//go:build linux

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rotation says when a recording goes on in another file, and how files are named: as tcpdump does.
type rotation struct {
	megabytes uint32 // -C: size of a file, in millions of bytes
	seconds   uint32 // -G: length of a period
	files     uint32 // -W: number of files
}

// errLastFile ends a recording that has all its files.
var errLastFile = errors.New("the recording has all its files")

func (r rotation) check(write string) error {
	switch {
	case r.files != 0 && r.megabytes == 0 && r.seconds == 0:
		return errors.New("-W is the number of files; add -C or -G, which say when another one begins")
	case r == rotation{}:
		return nil
	case write == "" || write == "-":
		return errors.New("-C, -G and -W are for files; add -w FILE")
	case r.seconds != 0:
		_, err := strftime(write, time.Time{})
		return err
	}
	return nil
}

// full reports whether a file of a size takes no more packets.
func (r rotation) full(size int64) bool {
	return r.megabytes != 0 && size >= int64(r.megabytes)*1_000_000
}

// over reports whether a period is over that was begun at a time.
func (r rotation) over(began, now time.Time) bool {
	return r.seconds != 0 && now.Sub(began) >= time.Duration(r.seconds)*time.Second
}

// name returns that of the n-th file, from 0 on, of a period that was begun at a time.
func (r rotation) name(name string, n uint32, at time.Time) string {
	if r.seconds != 0 {
		name, _ = strftime(name, at) // which check has tried
	}
	switch {
	case r.megabytes == 0:
		return name
	case r.files != 0: // a ring
		return fmt.Sprintf("%s%0*d", name, len(strconv.FormatUint(uint64(r.files-1), 10)), n%r.files)
	case n == 0:
		return name
	}
	return name + strconv.FormatUint(uint64(n), 10)
}

// last reports whether the n-th file is not to begin any more.
func (r rotation) last(n uint32) bool { return r.files != 0 && r.megabytes == 0 && n >= r.files }

// strftime replaces the commonest conversions of strftime(3).
func strftime(format string, at time.Time) (string, error) {
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'F': "2006-01-02",
		'T': "15:04:05",
		'j': "002", 'b': "Jan", 'a': "Mon", 'z': "-0700", 'Z': "MST",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch {
		case i == len(format):
			return "", fmt.Errorf("-w %q: a single %% at the end; write %%%%", format)
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 's':
			b.WriteString(strconv.FormatInt(at.Unix(), 10))
		case layouts[format[i]] != "":
			b.WriteString(at.Format(layouts[format[i]]))
		default:
			return "", fmt.Errorf(
				"-w %q: %%%c is not known; there are %%Y %%y %%m %%d %%H %%M %%S %%F %%T %%j %%b %%a %%z %%Z %%s %%%%",
				format,
				format[i],
			)
		}
	}
	return b.String(), nil
}
