// SPDX-License-Identifier: GPL-2.0-or-later

package blackbox

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
	"github.com/chifflier/nfqueue-go/internal/netlab/labtest"
)

// soakEnv is how long TestSoakBesideNeighbour takes, as time.ParseDuration reads it.
const soakEnv = "NFQ_NEIGHBOUR_SOAK"

// TestSoakBesideNeighbour starts and stops nfq again and again while packets wait in another
// program's queue half of the time. The kernel drops those that come between the last look of nfq
// at the queues and the removal of its chains. If nfq did not look, a round would cost ten packets
// on average; one is the limit.
func TestSoakBesideNeighbour(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakEnv))
	if err != nil {
		t.Skipf("set %s to a duration, such as 10m", soakEnv)
	}
	const burst, waits, every = 20, 50 * time.Millisecond, 100 * time.Millisecond
	h := labtest.Host(t)
	n := newNeighbour(t, h)
	keepConntrack(t, h)
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for all := 0; ; all += burst {
			select {
			case <-tick.C:
			case <-stop:
				sent <- all
				return
			}
			for i := range burst {
				_, _ = n.udp.From.Write(binary.BigEndian.AppendUint32(nil, uint32(all+i)))
			}
			time.Sleep(waits)
			n.acceptAll()
		}
	}()
	received := make(chan map[uint32]bool, 1)
	go func() {
		all := make(map[uint32]bool)
		b := make([]byte, 16)
		for {
			if n, err := n.udp.To.Read(b); err != nil || n == 1 {
				received <- all
				return
			}
			all[binary.BigEndian.Uint32(b)] = true
		}
	}()
	rounds := 0
	for end := time.Now().Add(length); time.Now().Before(end); rounds++ {
		cmd := command(startsBesideNeighbour[rand.IntN(len(startsBesideNeighbour))]...)
		labtest.Must(t, h.Do(cmd.Start))
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // it may not even have started
		_ = cmd.Process.Signal(os.Interrupt)
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	}
	close(stop)
	all := <-sent
	n.udp.Send(t, ".") // behind all of them
	labtest.Must(t, (<-n.held).Resolve(nfqueue.Accept))
	lost := all - len(<-received)
	t.Logf("%d of %d packets of the neighbour are lost in %d rounds", lost, all, rounds)
	if lost > rounds {
		t.Error("more than one packet a round")
	}
}
