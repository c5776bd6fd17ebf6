// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chifflier/nfqueue-go/cmd/nfq/internal/pcapng/pcapngtest"
	"github.com/chifflier/nfqueue-go/nfqueuetest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// moreCaptures is an environment variable with a directory of captures, such as those that tcpdump,
// Wireshark and gopacket ship.
const moreCaptures = "NFQUEUE_CAPTURES"

// isIP finds the outermost IP header in the protocols of a packet.
var isIP = regexp.MustCompile(`(?:^|:)(ip|ipv6)(?:$|:)`)

// notFound are link types in which tshark finds IP, and nfq does not: IEEE 802.15.4, where headers
// are compressed, ATM, that of Juniper's routers, and one that is free for private use.
var notFound = map[string]bool{"195": true, "106": true, "19": true, "178": true, "149": true}

// Every IP packet that tshark finds in a capture is one for nfq replay.
func TestCapturesAsTshark(t *testing.T) {
	files, err := filepath.Glob(captureFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	if dir := os.Getenv(moreCaptures); dir != "" {
		name := regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|ntar)(\.gz)?[0-9]*$`)
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && name.MatchString(path) {
				files = append(files, path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	var packets, ip, unknown int
	for _, file := range files {
		theirs, err := pcapngtest.Read(t, file,
			"frame.protocols", "frame.time_epoch", "ip.src", "ipv6.src")
		ours, links := replayed(t, file, err != nil)
		// Other blocks of pcapng are no packets. tshark shows them as data without a time.
		theirs = slices.DeleteFunc(theirs, func(f []string) bool {
			return f[0] == "data" && f[1] == ""
		})
		for i, f := range theirs {
			packets++
			outermost := isIP.FindStringSubmatch(f[0])
			if outermost == nil {
				continue
			}
			ip++
			values := map[string]string{"ip": f[2], "ipv6": f[3]}[outermost[1]]
			want, _, _ := strings.Cut(values, ",")
			got, found := ours[i+1]
			switch {
			case notFound[links[i+1]]:
				unknown++
			case want == "": // its header is cut, or has another version, so that a kernel drops it
			case !found || got != want && got != "": // empty if it is cut, too
				t.Errorf("%s: packet %d, %s, is from %s; found: %v, from %q, link type %q",
					file, i+1, f[0], want, found, got, links[i+1])
			}
		}
	}
	t.Logf("%d files, %d packets, %d of IP, %d of those of link types that are not known",
		len(files), packets, ip, unknown)
}

// replayed returns the senders of the IP packets that nfq replay finds, and the link types that it
// does not know, both by the number of the packet.
func replayed(t *testing.T, file string, mayFail bool) (senders, links map[int]string) {
	t.Helper()
	cmd := command("replay", "--json", file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !mayFail {
		t.Errorf("%s: %v: %s", file, err, &errs)
	}
	senders, links = make(map[int]string), make(map[int]string)
	for d := json.NewDecoder(&out); d.More(); {
		var p struct {
			Number   int
			Queue    *int // of those that are found, since the rule is for all
			Src      string
			LinkType string `json:"link_type"`
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Queue != nil {
			senders[p.Number] = p.Src
		}
		links[p.Number], _, _ = strings.Cut(p.LinkType, " ")
	}
	return senders, links
}

// Packets behind link headers that are not known are passed over, shown, and counted.
func TestReplayUnknownLink(t *testing.T) {
	var file bytes.Buffer
	usb := pcapgo.NgInterface{Name: "usb0", LinkType: 189}
	w, err := pcapgo.NewNgWriterInterface(&file, usb, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := w.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeRaw})
	if err != nil {
		t.Fatal(err)
	}
	from, to := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:53")
	packet := nfqueuetest.UDP(from, to, nil)
	for _, index := range []int{0, raw, 0} {
		info := gopacket.CaptureInfo{
			InterfaceIndex: index, CaptureLength: len(packet), Length: len(packet),
		}
		if err := w.WritePacket(info, packet); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(t.TempDir(), "passed.pcapng")
	out, _ := replayWith(t, file.Bytes(), exitOK, "-", "-w", written)
	for _, want := range []string{
		" usb0 forward link type 189, length 28 [not queued]\n",
		"3 packets: 1 queued (1 accepted, 0 dropped), 0 not matched by the rule, 0 not IP, " +
			"2 of link type 189, which is not known; the handler took ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q, without %q", out, want)
		}
	}
	passed := pcapngtest.Tshark(t, written, "ip.src")
	if len(passed) != 1 || passed[0][0] != "192.0.2.1" {
		t.Errorf("recorded: %q", passed)
	}
	out, _ = replayWith(t, file.Bytes(), exitOK, "-", "--json")
	want, each := `"unknown_link":{"189":2}`, `"link_type":"189"`
	if !strings.Contains(out, want) || strings.Count(out, each) != 2 {
		t.Errorf("%s, without %s", out, want)
	}
}
