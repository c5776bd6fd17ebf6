// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"reflect"
	"testing"
	"time"

	"github.com/chifflier/nfqueue-go"
)

func TestSetupAsArguments(t *testing.T) {
	for _, s := range []Setup{
		{},
		{Verdict: nfqueue.Accept},
		{Queue: 65535, Queues: 3, Packets: 5, WarmUp: 2, MaxLen: 1 << 31, ReadBuffer: 7, NoGSO: true,
			Batch: 9, BusyPoll: 2 * time.Microsecond, Connections: Offloaded,
			Work: 3 * time.Microsecond, Hold: 4, MaxConns: 9},
	} {
		got, err := parseSetup(s.args())
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%v: got %+v, %v, want %+v", s.args(), got, err, s)
		}
	}
}

func TestSetupRefused(t *testing.T) {
	for _, args := range [][]string{{"--queue", "65536"}, {"--verdict", "repeat"}, {"surplus"},
		{"--what"}} {
		if s, err := parseSetup(args); err == nil {
			t.Errorf("%v: %+v", args, s)
		}
	}
}
