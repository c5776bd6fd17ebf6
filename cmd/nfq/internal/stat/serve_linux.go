// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ListenAddress returns the address that is meant by a flag: without a host it is on loopback.
func ListenAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return "", fmt.Errorf(
			"%q is not an address; give :PORT for loopback, or HOST:PORT, such as 0.0.0.0:9099 for all interfaces",
			s,
		)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", fmt.Errorf("%q has no port from 0 to 65535", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// limits bound connections, so that no client keeps descriptors or memory from others.
type limits struct {
	request     time.Duration // from its first byte to its last
	answer      time.Duration
	idle        time.Duration // between requests
	connections int           // for one more, the one is closed that was quiet longest
}

var defaultLimits = limits{
	request:     10 * time.Second,
	answer:      30 * time.Second,
	idle:        time.Minute,
	connections: 64,
}

// connections are those of a server. Clients that hold theirs without asking for anything cannot
// keep others out.
type connections struct {
	limit int

	mu    sync.Mutex
	quiet []net.Conn // whose state has not changed for the longest time is first
}

// changed is http.Server.ConnState. It closes a connection if there are too many.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.quiet, conn); i >= 0 {
		c.quiet = slices.Delete(c.quiet, i, i+1)
	} else if state != http.StateNew {
		return // closed below
	}
	if state == http.StateClosed {
		return
	}
	if len(c.quiet) == c.limit {
		_ = c.quiet[0].Close()
		c.quiet = slices.Delete(c.quiet, 0, 1)
	}
	c.quiet = append(c.quiet, conn)
}

// Serve answers requests for /metrics until ctx ends, and closes the listener.
func Serve(ctx context.Context, l net.Listener, m *Metrics) error {
	return serve(ctx, l, m, defaultLimits)
}

func serve(ctx context.Context, l net.Listener, m *Metrics, bounds limits) error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(m); err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w,
			"<!DOCTYPE html><title>nfq stat</title><a href=\"/metrics\">metrics</a>\n")
	})
	open := connections{limit: bounds.connections}
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: 16 << 10, ConnState: open.changed,
		ReadTimeout: bounds.request, WriteTimeout: bounds.answer, IdleTimeout: bounds.idle,
	}
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limited, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if server.Shutdown(limited) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if !release() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
