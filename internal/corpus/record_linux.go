// SPDX-License-Identifier: GPL-2.0-or-later

package corpus

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// writeEnv names the directory for recordings. Without it they go to a temporary one.
const writeEnv = "NFQUEUE_WRITE_CAPTURES"

// Patience bounds every wait for something that must happen.
const Patience = 20 * time.Second

// file is a capture that is being written.
type file struct {
	t          testing.TB
	out        *os.File
	w          *pcapgo.NgWriter
	link       layers.LinkType
	interfaces map[string]int
}

func create(t testing.TB, name string, link layers.LinkType) *file {
	t.Helper()
	dir := os.Getenv(writeEnv)
	if dir == "" {
		dir = t.TempDir()
	}
	out, err := os.Create(filepath.Join(dir, name+".pcapng"))
	labtest.Must(t, err)
	return &file{t: t, out: out, link: link, interfaces: make(map[string]int)}
}

// add adds a frame that was captured on an interface.
func (f *file) add(at time.Time, name string, data []byte) {
	i, known := f.interfaces[name]
	if !known {
		i = len(f.interfaces)
		f.interfaces[name] = i
		described := pcapgo.NgInterface{Name: name, LinkType: f.link, TimestampResolution: 9}
		var err error
		if f.w == nil {
			f.w, err = pcapgo.NewNgWriterInterface(
				f.out, described,
				pcapgo.NgWriterOptions{
					SectionInfo: pcapgo.NgSectionInfo{Application: "nfqueue-go internal/corpus"},
				},
			)
		} else {
			_, err = f.w.AddInterface(described)
		}
		if err != nil {
			f.t.Error(err)
			return
		}
	}
	if err := f.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, InterfaceIndex: i,
		CaptureLength: len(data), Length: len(data)}, data); err != nil {
		f.t.Error(err)
	}
}

func (f *file) close() {
	if f.w == nil {
		f.t.Error("nothing was recorded")
	} else if err := f.w.Flush(); err != nil {
		f.t.Error(err)
	}
	if err := f.out.Close(); err != nil {
		f.t.Error(err)
	}
}

// Recorder keeps the packets that a router queues.
type Recorder struct {
	t     testing.TB
	queue *nfqueue.Queue
	file  *file
	done  chan error

	mu      sync.Mutex
	flows   []nfqueue.Flow
	changed chan struct{} // closed when there are more flows
}

// Record queues all packets that reach the router, and those that it sends itself, until the test
// ends. The file with the given name then has them.
func Record(t testing.TB, name string) (*netlab.Network, *Recorder) {
	t.Helper()
	n := labtest.Routed(t)
	r := &Recorder{
		t:       t,
		file:    create(t, name, layers.LinkTypeRaw),
		done:    make(chan error, 1),
		changed: make(chan struct{}),
	}
	var err error
	// Without GSO packets are as on a wire: no longer than the MTU, and with complete checksums.
	r.queue, err = nfqueue.Open(
		nfqueue.Config{NetNS: n.Middle.FD(), Flags: nfqueue.NoGSO, Fallback: nfqueue.Accept},
	)
	labtest.Must(t, err)
	for _, family := range []netlab.Family{netlab.IP, netlab.IP6} {
		for _, hook := range []netlab.Hook{netlab.Prerouting, netlab.Output} {
			labtest.Rule(t, labtest.Chain(t, n.Middle, family, hook, 0), netlab.ToQueue(netlab.Queue{}))
		}
	}
	go func() { r.done <- r.queue.Serve(context.Background(), nfqueue.HandlerFunc(r.packet)) }()
	t.Cleanup(func() {
		r.end()
		r.file.close()
	})
	return n, r
}

// packet is the handler.
func (r *Recorder) packet(p *nfqueue.Packet) nfqueue.Verdict {
	flow, _ := p.Flow()
	if flow.Protocol == protoICMPv6 && flow.ICMPType == mldReport {
		return nfqueue.Accept // the kernel's own affair
	}
	name := p.InDevName()
	if name == "" {
		name = p.OutDevName()
	}
	r.file.add(time.Now(), name, p.Payload())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = append(r.flows, flow)
	close(r.changed)
	r.changed = make(chan struct{})
	return nfqueue.Accept
}

const (
	protoICMPv6 = 58
	mldReport   = 143
)

// Await waits until n packets have been recorded that match.
func (r *Recorder) Await(n int, match func(nfqueue.Flow) bool) {
	r.t.Helper()
	timeout := time.After(Patience)
	for {
		found := 0
		r.mu.Lock()
		for _, f := range r.flows {
			if match(f) {
				found++
			}
		}
		changed := r.changed
		r.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			r.t.Fatalf("%d of %d packets came: %+v", found, n, r.flows)
		}
	}
}

func (r *Recorder) end() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := r.queue.Shutdown(ctx); err != nil {
		r.t.Error(err)
	}
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}
