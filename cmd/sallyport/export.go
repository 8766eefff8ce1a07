package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/jsonl"
	"github.com/sallyport/sallyport/audit/ocsf"
	"github.com/sallyport/sallyport/audit/otel"
	"github.com/sallyport/sallyport/audit/syslog"
	"github.com/sallyport/sallyport/audit/webhook"
	"github.com/sallyport/sallyport/gateway/config"
)

// export has the log's events sent to where the config file says.
func (g *gateway) export(records *audit.Log) error {
	for _, e := range g.config.Audit.Export {
		s, err := g.sink(e)
		if err != nil {
			return fmt.Errorf("export %s: %w", e.Called(), err)
		}
		if c, ok := s.(io.Closer); ok {
			g.closeAfterLog(c)
		}
		f, err := records.Feed(s, audit.FeedConfig{Only: e.Only, FromStart: e.FromStart})
		if err != nil {
			return err
		}
		g.metrics.Feeds = append(g.metrics.Feeds, f)
	}
	return nil
}

// closeAfterLog has c closed after the log, which hands over its last events when
// it is closed.
func (g *gateway) closeAfterLog(c io.Closer) {
	g.closers = append([]func() error{c.Close}, g.closers...)
}

func (g *gateway) sink(e config.Export) (audit.Sink, error) {
	var format audit.Format
	if e.Format == "ocsf" {
		format = ocsf.Append
	}
	c, err := g.config.ExportTLS(e)
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case "file":
		return &jsonl.File{Path: g.config.ExportPath(e), Called: e.Called(), Format: format}, nil
	case "stdout":
		return &jsonl.Writer{W: os.Stdout, Called: e.Called(), Format: format}, nil
	case "syslog":
		return &syslog.Sink{Address: e.Address, Called: e.Called(), TLS: c, Plaintext: e.Plaintext, Facility: e.Facility, Format: format}, nil
	case "otlp":
		return otel.New(otel.Config{URL: e.URL, Called: e.Called(), TLS: c, Text: e.Text})
	case "webhook":
		return g.webhook(e, webhook.Config{URL: e.URL, Called: e.Called(), Private: e.Private, Plaintext: e.Plaintext, TLS: c, Format: format})
	}
	return nil, fmt.Errorf("unknown type %q", e.Type)
}

func (g *gateway) webhook(e config.Export, c webhook.Config) (audit.Sink, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, ref := range e.Keys {
		secret, err := g.config.Secret(ctx, ref)
		if err != nil {
			return nil, err
		}
		key, err := webhook.ParseKey(secret)
		if err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, key)
	}
	return webhook.New(c)
}

// serveMetrics shows the gateway's numbers until ctx ends.
func (g *gateway) serveMetrics(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("/metrics", g.metrics)
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
