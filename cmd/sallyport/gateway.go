package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/prometheus"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// gateway is everything that a config file asks for, built and not yet serving.
type gateway struct {
	*proxy.Gateway
	config    *config.File
	authority *ca.CA
	handlers  map[protocol.Listener]proxy.Handler
	listeners map[protocol.Listener]net.Listener
	services  []service // of the protocols that have a listener
	closers   []func() error
	users     *identity.Users
	policy    *policy.Policy
	resources proxy.Resources
	audit     *audit.Log
	metrics   *prometheus.Metrics
	scraped   net.Listener // where metrics are shown; nil when they are not
	control   *control.Handler
	socket    net.Listener // where control is served
}

// build turns a config file into a gateway, which is to be closed.
func build(f *config.File, log *slog.Logger) (*gateway, error) {
	users, err := f.Users()
	if err != nil {
		return nil, err
	}
	policy, err := f.Policy()
	if err != nil {
		return nil, err
	}
	directory, err := f.Directory()
	if err != nil {
		return nil, err
	}
	g := &gateway{config: f, users: users, policy: policy, resources: directory, metrics: &prometheus.Metrics{}, handlers: make(map[protocol.Listener]proxy.Handler), listeners: make(map[protocol.Listener]net.Listener)}
	g.Gateway = &proxy.Gateway{
		Authenticator: users, Directory: directory, Credentials: f.Credentials(), Log: log,
		MaxSession: f.Limits.MaxSession, MaxSessions: f.Limits.MaxSessions, MaxPerIdentity: f.Limits.MaxPerUser,
		MaxUnauthenticated: f.Limits.MaxUnauthenticated, MaxPerAddress: f.Limits.MaxPerAddress,
	}
	certificate, err := g.certificate()
	if err != nil {
		return nil, err
	}
	records, err := g.records(log)
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	if err := g.open(certificate, log); err != nil {
		return nil, errors.Join(err, g.close())
	}
	masker, err := f.Masker(context.Background(), masking.Config{Sampler: g.sampler()})
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	requests := &review.Queue{}
	g.Reviewer = requests
	guard, err := f.Guardrail(guardrail.Config{
		Limiters: g.limiters(), Estimators: g.estimators(),
	})
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	// Who may, what nobody should, what is hidden, and then what is recorded:
	// records hold what users saw, and what was refused before as refused.
	g.Interceptors = []proxy.Interceptor{policy}
	if guard != nil {
		g.Interceptors = append(g.Interceptors, guard)
	}
	if masker != nil { // originals are kept of what it masks, where a rule says so
		g.Interceptors = append(g.Interceptors, records.Originals(), masker)
	}
	g.Interceptors = append(g.Interceptors, g.metrics, records)
	g.OnEvent = func(e proxy.Event) {
		g.metrics.Event(e)
		records.Event(e)
	}
	if err := errors.Join(g.export(records), g.copy(records), g.witness(records)); err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.control = &control.Handler{
		Gateway: g.Gateway, Records: records, Authenticate: control.PeerIdentity, Permit: f.Permit(), Log: log,
		Requests: requests, Deciders: users,
	}
	if err := g.handle(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// records opens the audit log.
func (g *gateway) records(log *slog.Logger) (*audit.Log, error) {
	durability, err := audit.ParseDurability(g.config.Audit.Durability)
	if err != nil {
		return nil, err
	}
	keys, err := g.config.AuditKeys(context.Background())
	if err != nil {
		return nil, err
	}
	l, err := audit.Open(filepath.Join(g.config.Data(), "audit"), audit.Config{
		Durability: durability, BestEffort: g.config.Audit.BestEffort, Recordings: g.config.Recordings(), Keys: keys, Log: log,
	})
	if err != nil {
		return nil, err
	}
	g.audit = l
	g.closers = append(g.closers, l.Close)
	version, err := g.config.Version()
	if err == nil {
		err = l.Configured(version)
	}
	return l, err
}

// certificate is what clients see: the configured one, or one of the gateway's
// own authority.
func (g *gateway) certificate() (*tls.Config, error) {
	c, err := g.config.ClientTLS()
	if c != nil || err != nil {
		return c, err
	}
	if g.authority, err = ca.Open(filepath.Join(g.config.Data(), "ca")); err != nil {
		return nil, err
	}
	names := []string{"localhost", "127.0.0.1", "::1"}
	if g.config.Domain != "" {
		names = append(names, g.config.Domain, "*."+g.config.Domain)
	}
	for _, l := range g.config.Listeners() {
		if host, _, err := net.SplitHostPort(l.Address); err == nil && host != "" {
			names = append(names, host)
		}
	}
	pair, err := g.authority.Server(names...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// listen opens every listener, or none.
func (g *gateway) listen() error {
	for l := range g.handlers {
		ln, err := net.Listen("tcp", l.Address)
		if err != nil {
			g.close()
			return err
		}
		g.listeners[l] = ln
	}
	var err error
	if g.socket, err = control.Listen(controlSocket(g.config)); err == nil && g.config.Metrics != "" {
		g.scraped, err = net.Listen("tcp", g.config.Metrics)
	}
	if err != nil {
		g.close()
	}
	return err
}

// serve serves until ctx ends, and closes everything.
func (g *gateway) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, len(g.listeners)+2)
	wg.Add(1)
	go func() {
		defer wg.Done()
		g.expire(ctx, g.audit)
	}()
	if g.scraped != nil {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := g.serveMetrics(ctx, g.scraped); err != nil {
				errs <- err
				cancel()
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		if err := serveControl(ctx, g.socket, g.control); err != nil {
			errs <- err
			cancel()
		}
	}()
	for l, ln := range g.listeners {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := g.Serve(ctx, ln, g.handlers[l]); err != nil {
				errs <- fmt.Errorf("%s: %w", l.Address, err)
				cancel() // one listener less is not what was asked for
			}
		}()
	}
	wg.Wait()
	close(errs)
	err := g.close()
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (g *gateway) close() error {
	var errs []error
	for _, ln := range g.listeners {
		ln.Close()
	}
	if g.socket != nil {
		g.socket.Close()
	}
	if g.scraped != nil {
		g.scraped.Close()
	}
	for i := len(g.closers) - 1; i >= 0; i-- {
		errs = append(errs, g.closers[i]())
	}
	g.closers = nil
	return errors.Join(errs...)
}
