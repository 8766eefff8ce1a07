package gateway

import (
	"context"
	"crypto"
	"crypto/tls"
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

// openServices opens the protocols that f has listeners or resources of and that are not
// open yet. They stay open until Close, also on an error.
func (x *Explainer) openServices(f *config.File) error {
	listeners := f.Listeners()
	// Nothing is asked before there is a revision, but by handlers that are made for the
	// first one.
	a := protocol.Assembly{
		Gateway: x.gateway, Domain: f.Domain, RequireTLS: RequireTLS(f), Log: x.options.Log,
		Listeners: func() []protocol.Listener {
			if p := x.parts(); p != nil {
				return p.config.Listeners()
			}
			return listeners
		},
		Resources: func() proxy.Resources {
			if p := x.parts(); p != nil {
				return p.resources
			}
			return nil
		},
		May: func(id *proxy.Identity, t proxy.Target) bool { return x.parts().may(context.Background(), id, t) },
	}
	if x.browsers != nil { // a nil pointer in the interface would be there
		a.Browsers, a.Bearers = x.browsers, x.browsers
	}
	if !x.dry {
		a.TLS = &tls.Config{GetCertificate: x.gateway.Certificate, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	}
	if x.options.Authenticator == nil { // another may know keys and certificates that are not known here
		a.KnowsKey = func(user string, key []byte) bool { return x.parts().users.KnowsKey(user, key) }
		a.KnowsCertificate = x.issued
	}
	for _, p := range f.Protocols() {
		used := slices.ContainsFunc(listeners, func(l protocol.Listener) bool { return l.Protocol == p.Name }) ||
			slices.ContainsFunc(f.Resources, func(r config.Resource) bool { return r.Type == p.Name })
		if !used || x.service(p.Name) != nil {
			continue
		}
		a.Dir, a.Keys = Dir(f, p.Name), x.keys(p.Name)
		a.Authorities = func(name string, first func() (crypto.PrivateKey, error)) (protocol.Authority, error) {
			return x.signers(p.Name, name, first)
		}
		if x.firsts != nil {
			a.FirstSeen = x.firsts(f, p.Name)
		}
		s, err := p.Open(a)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		opened := append(slices.Clip(x.opened()), service{p, s})
		x.services.Store(&opened)
	}
	return nil
}

// opened are the protocols that are open, of this revision or an earlier one. The result
// is read-only.
func (x *Explainer) opened() []service {
	if s := x.services.Load(); s != nil {
		return *s
	}
	return nil
}

// service returns the protocol of that name; nil when it is not served.
func (x *Explainer) service(name string) *service {
	for _, s := range x.opened() {
		if s.Name == name {
			return &s
		}
	}
	return nil
}

// limiters add LIMIT to queries, by dialect.
func (x *Explainer) limiters() map[string]guardrail.Limiter {
	out := make(map[string]guardrail.Limiter)
	for _, s := range x.opened() {
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
	for _, s := range x.opened() {
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
	for _, s := range x.opened() {
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
