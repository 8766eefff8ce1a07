package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
)

// controlSocket is where a running gateway is talked to.
func controlSocket(f *config.File) string { return filepath.Join(f.Data(), "control.sock") }

// serveControl serves h until ctx ends.
func serveControl(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ConnContext: control.PeerContext, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	// What is watched ends with its session: nobody is waited for.
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// controlClient talks to a running gateway.
type controlClient struct{ http.Client }

// controlFlags adds -c and returns what opens the running gateway's socket.
func controlFlags(c *cli, f *flag.FlagSet) func() (*controlClient, error) {
	file := configFlag(f)
	return func() (*controlClient, error) {
		cfg, err := load(c, *file)
		if err != nil {
			return nil, err
		}
		return newControlClient(controlSocket(cfg)), nil
	}
}

func newControlClient(socket string) *controlClient {
	return &controlClient{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, "unix", socket)
			if err != nil {
				return nil, fail(exitUnreachable, "no gateway answers at %s: %v", socket, err)
			}
			return c, nil
		},
		DisableKeepAlives: true,
	}}}
}

// open makes a request and returns the answer's body when it is a good one. body
// is sent as JSON unless it is nil.
func (cc *controlClient) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, &b)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := cc.Do(r)
	if err != nil {
		var exit *exitWith
		if errors.As(err, &exit) {
			return nil, exit
		}
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var failure struct{ Error control.Error }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&failure); err != nil {
		return nil, fmt.Errorf("the gateway answers %s", resp.Status)
	}
	code := map[string]int{
		"not-found": exitNotFound, "forbidden": exitPolicy, "unauthenticated": exitNotLoggedIn, "bad-request": exitUsage, "conflict": exitDenied,
	}[failure.Error.Code]
	if code == 0 {
		code = exitError
	}
	return nil, fail(code, "%s", failure.Error.Message)
}

// call makes a request and reads its answer into out, unless that is nil.
func (cc *controlClient) call(ctx context.Context, method, path string, body, out any) error {
	r, err := cc.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(r).Decode(out)
}
