package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// service is a protocol that the gateway serves or explains.
type service struct {
	protocol.Protocol
	*protocol.Service
}

// Dir returns the folder of a protocol's own files.
func Dir(f *config.File, protocol string) string { return filepath.Join(f.Data(), protocol) }

// RequireTLS reports whether the gateway refuses clients without TLS.
func RequireTLS(f *config.File) bool { return f.TLS == nil || !f.TLS.Optional }

// openServices opens the protocols that f has listeners or resources of. On an error
// those that are open stay open, until Close.
func (x *Explainer) openServices(f *config.File, serve bool) error {
	a := protocol.Assembly{
		Gateway: x.gateway, Domain: f.Domain, RequireTLS: RequireTLS(f), Listeners: f.Listeners(), Log: x.options.Log,
		Resources: func() proxy.Resources { return x.parts().resources },
		May:       func(id *proxy.Identity, t proxy.Target) bool { return x.parts().policy.May(id, t) },
	}
	if serve {
		a.TLS = &tls.Config{GetCertificate: x.gateway.Certificate, MinVersion: tls.VersionTLS12}
	}
	if x.options.Authenticator == nil { // another may know keys that the file does not
		a.KnowsKey = func(user string, key []byte) bool { return x.parts().users.KnowsKey(user, key) }
	}
	for _, p := range f.Protocols() {
		used := slices.ContainsFunc(a.Listeners, func(l protocol.Listener) bool { return l.Protocol == p.Name }) ||
			slices.ContainsFunc(f.Resources, func(r config.Resource) bool { return r.Type == p.Name })
		if !used {
			continue
		}
		a.Dir = Dir(f, p.Name)
		s, err := p.Open(a)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		x.services = append(x.services, service{p, s})
	}
	return nil
}

// handle makes the listeners' handlers.
func (g *Gateway) handle(f *config.File) error {
	for _, l := range f.Listeners() {
		s := g.service(l.Protocol)
		if s == nil {
			return fmt.Errorf("serving %s at %s: the protocol is not in the list", l.Protocol, l.Address)
		}
		h, err := s.Handler(l.Resource)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Address, err)
		}
		g.handlers[l] = h
	}
	return nil
}

// service returns the protocol of that name; nil when it is not served.
func (x *Explainer) service(name string) *service {
	for i := range x.services {
		if x.services[i].Name == name {
			return &x.services[i]
		}
	}
	return nil
}

// verifyLogin returns what verifies certificates that users log in with; nil when
// no protocol does. One that accepts a certificate is enough: each has an
// authority of its own.
func (x *Explainer) verifyLogin() func(wire []byte, name string) error {
	var verify []func([]byte, string) error
	for _, s := range x.services {
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
func (x *Explainer) limiters() map[string]guardrail.Limiter {
	out := make(map[string]guardrail.Limiter)
	for _, s := range x.services {
		if s.Limiter != nil {
			out[s.Dialect] = s.Limiter
		}
	}
	return out
}

// estimators ask resources what statements would cost, by dialect.
func (x *Explainer) estimators() map[string]guardrail.Estimator {
	out := make(map[string]guardrail.Estimator)
	for _, dialect := range x.options.Dialects {
		out[dialect] = estimator{}
	}
	for _, s := range x.services {
		if s.Estimator != nil {
			out[s.Dialect] = estimator{s.Estimator}
		}
	}
	return out
}

// samplers read values of columns, by protocol.
type samplers map[string]protocol.Sampler

// sampler reads values of columns for masking.
func (x *Explainer) sampler() masking.Sampler {
	out := make(samplers)
	for _, s := range x.services {
		if s.Sampler != nil {
			out[s.Name] = s.Sampler
		}
	}
	return out
}

// Sample reads values of a relation at the session's resource.
func (s samplers) Sample(ctx context.Context, session *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error {
	one := s[session.Protocol]
	if one == nil {
		return fmt.Errorf("%w: a sampler of protocol %s", proxy.ErrNotFound, session.Protocol)
	}
	return one.Sample(ctx, session, schema, relation, each)
}
