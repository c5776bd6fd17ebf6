// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// succeed serves the queue whose socket is descriptor 3 until standard input ends,
// and prints what it did.
func succeed() {
	q, err := nfqueue.OpenFile(os.NewFile(3, "socket"), nfqueue.Config{Queue: 1})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("ready")
	err = q.Serve(ctx, nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	fmt.Println(q.Stats().Received, err)
}

// TestHandOver passes a queue to another process while datagrams come in without a
// pause, a hundred under way at any time. The receiver gets each of them, in order.
func TestHandOver(t *testing.T) {
	lab := newVerdictLab(t, netlab.IP, localhost)
	queueUDP(t, lab.queueing, netlab.Queue{Num: 1})
	q := open(t, lab.Host, nfqueue.Config{Queue: 1})
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(context.Background(), nfqueue.HandlerFunc(func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept }))
	}()

	sent := make(chan int, 1)
	quit, window := make(chan bool), make(chan bool, 100)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-quit:
				return
			case window <- true:
				lab.in(string(binary.BigEndian.AppendUint32(nil, uint32(n))))
				n++
			}
		}
	}()
	received := 0
	get := func(until int) {
		t.Helper()
		for ; received < until; received++ {
			lab.out(t, string(binary.BigEndian.AppendUint32(nil, uint32(received))))
			<-window
		}
	}
	get(1000)

	f, err := q.File()
	labtest.Must(t, err)
	successor := exec.Command("/proc/self/exe")
	successor.Env = append(os.Environ(), childEnv+"=successor")
	successor.ExtraFiles = []*os.File{f}
	successor.Stderr = os.Stderr
	stdin, err := successor.StdinPipe()
	labtest.Must(t, err)
	stdout, err := successor.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, successor.Start())
	f.Close()
	said := bufio.NewScanner(stdout)
	if !said.Scan() || said.Text() != "ready" {
		t.Fatalf("the successor says %q", said.Text())
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	labtest.Must(t, q.Release(ctx))
	if err := waitFor(t, served); err != nil {
		t.Error(err)
	}
	get(received + 5000)
	close(quit)
	total := waitFor(t, sent)
	get(total)

	stdin.Close()
	var theirs int
	if !said.Scan() {
		t.Fatal("the successor says nothing of what it did")
	}
	if _, err := fmt.Sscanf(said.Text(), "%d <nil>", &theirs); err != nil {
		t.Fatalf("the successor says %q", said.Text())
	}
	labtest.Must(t, successor.Wait())
	if ours := int(q.Stats().Received); ours+theirs != total || theirs < 4000 {
		t.Errorf("%d + %d packets handled, %d sent", ours, theirs, total)
	}
}

// TestOpenFileRefusesOtherFiles names what it was given.
func TestOpenFileRefusesOtherFiles(t *testing.T) {
	f, err := os.Open("/dev/null")
	labtest.Must(t, err)
	defer f.Close()
	if _, err := nfqueue.OpenFile(f, nfqueue.Config{}); err == nil {
		t.Error("/dev/null was taken for a queue")
	}
}
