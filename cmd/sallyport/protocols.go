package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// options are what config files are read with.
func options() config.Options {
	return config.Options{Protocols: builtin.All(), Secrets: secrets.Default()}
}

// service is a protocol that is served.
type service struct {
	protocol.Protocol
	*protocol.Service
}

// open opens the protocols that have a listener.
func (g *gateway) open(certificate *tls.Config, log *slog.Logger) error {
	listeners := g.config.Listeners()
	for _, p := range g.config.Protocols() {
		if !slices.ContainsFunc(listeners, func(l protocol.Listener) bool { return l.Protocol == p.Name }) {
			continue
		}
		s, err := p.Open(protocol.Assembly{
			Gateway: g.Gateway, Dir: protocolDir(g.config, p.Name), TLS: certificate, RequireTLS: requireTLS(g.config), Domain: g.config.Domain, Listeners: listeners,
			Resources: func() proxy.Resources { return g.resources }, May: g.policy.May, KnowsKey: g.users.KnowsKey, Log: log,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if s.Close != nil {
			g.closers = append(g.closers, s.Close)
		}
		g.services = append(g.services, service{p, s})
	}
	g.users.Certificate = g.verifyLogin()
	return nil
}

// handle makes the listeners' handlers.
func (g *gateway) handle() error {
	for _, l := range g.config.Listeners() {
		i := slices.IndexFunc(g.services, func(s service) bool { return s.Name == l.Protocol })
		if i < 0 {
			return fmt.Errorf("%s cannot be served", l.Protocol)
		}
		h, err := g.services[i].Handler(l.Resource)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Address, err)
		}
		g.handlers[l] = h
	}
	return nil
}

// protocolDir is the folder of a protocol's own files.
func protocolDir(f *config.File, name string) string { return filepath.Join(f.Data(), name) }

func requireTLS(f *config.File) bool { return f.TLS == nil || !f.TLS.Optional }

// verifyLogin returns what verifies certificates that users log in with; nil when
// no protocol does. One that accepts a certificate is enough: each has an
// authority of its own.
func (g *gateway) verifyLogin() func(wire []byte, name string) error {
	var verify []func([]byte, string) error
	for _, s := range g.services {
		if s.VerifyLogin != nil {
			verify = append(verify, s.VerifyLogin)
		}
	}
	if verify == nil {
		return nil
	}
	return func(wire []byte, name string) error {
		var errs []error
		for _, v := range verify {
			err := v(wire, name)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

// limiters add LIMIT to queries, by dialect.
func (g *gateway) limiters() map[string]guardrail.Limiter {
	out := make(map[string]guardrail.Limiter)
	for _, s := range g.services {
		if s.Limiter != nil {
			out[s.Dialect] = s.Limiter
		}
	}
	return out
}

// estimators ask resources what statements would cost, by dialect.
func (g *gateway) estimators() map[string]guardrail.Estimator {
	out := make(map[string]guardrail.Estimator)
	for _, s := range g.services {
		if s.Estimator != nil {
			out[s.Dialect] = s.Estimator
		}
	}
	return out
}

// samplers read values of columns, by protocol.
type samplers map[string]protocol.Sampler

// sampler reads values of columns for masking.
func (g *gateway) sampler() masking.Sampler {
	out := make(samplers)
	for _, s := range g.services {
		if s.Sampler != nil {
			out[s.Name] = s.Sampler
		}
	}
	return out
}

// Sample reads values of a relation at the session's resource.
func (s samplers) Sample(ctx context.Context, session *proxy.Session, schema, relation string, each func(column string, value []byte)) error {
	one := s[session.Protocol]
	if one == nil {
		return fmt.Errorf("%w: a sampler of protocol %s", proxy.ErrNotFound, session.Protocol)
	}
	return one.Sample(ctx, session, schema, relation, each)
}
