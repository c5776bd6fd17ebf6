// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

import (
	"context"
	"os"

	"github.com/chifflier/nfqueue-go/internal/netlab"
)

// InProcess is this module's Queue in the process that measures. It takes part where nothing else
// is done there meanwhile.
type InProcess struct{}

// Name implements Consumer.
func (InProcess) Name() string { return OurName + ", in process" }

// Can implements Consumer.
func (InProcess) Can(s Setup) bool { return s.Packets > 0 }

// Start implements Consumer.
func (InProcess) Start(ctx context.Context, host *netlab.Host, s Setup) (Running, error) {
	session, err := openSession(s, host.FD())
	if err != nil {
		return nil, err
	}
	r := &runningSession{session: session, done: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(ctx)
	return r, nil
}

type runningSession struct {
	session *session
	ctx     context.Context
	stop    context.CancelFunc
	started bool
	done    chan struct{}
	report  Report
	err     error
}

func (r *runningSession) Go() error {
	r.started = true
	go func() {
		defer close(r.done)
		r.err = OnCPUs(r.session.setup.CPUs, func() (err error) {
			r.report, err = r.session.run(r.ctx)
			return err
		})
	}()
	return nil
}

func (r *runningSession) Stop() error {
	r.stop()
	return nil
}

func (r *runningSession) Wait() (Report, error) {
	<-r.done
	return r.report, r.err
}

func (r *runningSession) Usage() (Usage, error) { return usageOf(os.Getpid()) }

func (r *runningSession) Close() error {
	r.stop()
	err := r.session.close()
	if r.started {
		<-r.done
	}
	return err
}
