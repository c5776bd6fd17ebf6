// SPDX-License-Identifier: GPL-2.0-or-later

package connection_test

import (
	"testing"

	"github.com/chifflier/nfqueue-go/connection"
	"github.com/chifflier/nfqueue-go/inspect"
	"github.com/chifflier/nfqueue-go/inspect/tlshello"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
)

// hello makes a small ClientHello, in records that are cut at the given places of the
// message.
func hello(name string, cuts ...int) string {
	entry := "\x00" + length16(name)
	extensions := "\x00\x00" + length16(length16(entry)) + "\x00\x17\x00\x00"
	body := "\x03\x03abcdefghijklmnopqrstuvwxyz012345\x00" + length16("\x13\x01") + "\x01\x00" +
		length16(extensions)
	message := "\x01\x00" + length16(body)
	var records string
	from := 0
	for _, to := range append(cuts, len(message)) {
		records += "\x16\x03\x01" + length16(message[from:to])
		from = to
	}
	return records
}

func length16(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

const blockedName = "ads.example"

// byName blocks a name.
func byName(c *connection.Conn) connection.Answer {
	h, status := tlshello.Parse(c.Bytes(connection.Original))
	switch {
	case status == inspect.More:
		return connection.More
	case status == inspect.Complete && string(h.ServerName) != blockedName:
		return connection.Accept
	}
	return connection.Drop
}

// orders are those in which segments may arrive, with one of them a second time.
var orders = map[int][][]int{
	2: {{0, 1}, {1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}},
	3: {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {2, 2, 1, 1, 0},
		{0, 2, 0, 1}},
}

// cutAt cuts s into parts.
func cutAt(s string, cuts ...int) (parts []string, offsets []int) {
	from := 0
	for _, to := range append(cuts, len(s)) {
		parts, offsets = append(parts, s[from:to]), append(offsets, from)
		from = to
	}
	return parts, offsets
}

// A ClientHello that is cut at every byte into two segments, and into three, in every
// order and with parts that are sent again, is decided rightly. Of a blocked name no byte
// leaves.
func TestEveryCut(t *testing.T) {
	for _, name := range []string{"IPv4", "IPv6 options"} {
		e := families[name]
		t.Run(name, func(t *testing.T) {
			l := newLab(t, connection.Config{Hold: true, MaxConns: 64}, byName)
			port := 1000
			try := func(text string, pass bool, cuts ...int) {
				parts, offsets := cutAt(text, cuts...)
				for _, order := range orders[len(parts)] {
					port++
					e := e.port(port)
					l.passes(e.tcp("S", isn, 0, ""))
					l.passes(e.reverse().tcp("SA", peerISN, isn+1, ""))
					flights := make([]*nfqueuetest.Flight, len(parts))
					for _, i := range order {
						f := l.send(e.data(offsets[i], parts[i]))
						if flights[i] == nil {
							flights[i] = f
						}
					}
					for i, f := range flights {
						if f.Result().Passed != pass {
							t.Fatalf("cut at %v, order %v: part %d passed %v", cuts, order, i, !pass)
						}
					}
					if port == 60000 {
						port = 1000
					}
				}
			}
			for _, text := range []string{hello(blockedName), hello("www.example"), hello(blockedName, 60)} {
				pass := text == hello("www.example")
				for i := 1; i < len(text); i++ {
					try(text, pass, i)
					for j := i + 1; j < len(text); j++ {
						if (raceDetector || e.options || text != hello(blockedName)) && (i+j)%13 > 0 {
							continue // the same in part
						}
						try(text, pass, i, j)
					}
				}
			}
			if s := l.Stats(); fallback(s.Fallback) != 0 || s.Conflicts != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
