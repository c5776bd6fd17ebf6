// SPDX-License-Identifier: GPL-2.0-or-later

package stat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
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
	connections int           // more wait to be accepted
}

var defaultLimits = limits{
	request:     10 * time.Second,
	answer:      30 * time.Second,
	idle:        time.Minute,
	connections: 64,
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
		_, _ = io.WriteString(
			w,
			"<!DOCTYPE html><title>nfq stat</title><a href=\"/metrics\">metrics</a>\n",
		)
	})
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: 16 << 10,
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
	err := server.Serve(netutil.LimitListener(l, bounds.connections))
	if !release() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
