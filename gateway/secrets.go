package gateway

import (
	"context"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/secrets"
)

var secretTypes = map[secrets.EventKind]string{
	secrets.Resolved: audit.SecretResolve, secrets.Renewed: audit.SecretRenew, secrets.Revoked: audit.SecretRevoke, secrets.Lost: audit.SecretLost,
}

// reportSecret has it on record what happens to a secret.
func (g *Gateway) reportSecret(e secrets.Event) {
	switch {
	case e.Err == nil:
	case e.Kind == secrets.Resolved && e.Session == "" && !e.Cached: // of others the session tells
		g.log.Warn("a secret that the gateway itself uses could not be had", "ref", e.Ref, "err", e.Err)
	case e.Kind != secrets.Resolved:
		g.log.Warn("a lease of a secret could not be renewed or revoked, or has ended", "what", e.Kind.String(), "ref", e.Ref, "lease", e.Lease, "session", e.Session, "err", e.Err)
	}
	if !e.Cached {
		g.metrics.Credential(e.Kind.String(), e.Lease, e.Err)
	}
	g.records.Secret(audit.SecretUse{
		Type: secretTypes[e.Kind], Ref: e.Ref, User: e.Actor, Session: e.Session, Version: e.Version, Lease: e.Lease, Expires: e.Expires,
		Cached: e.Cached, Took: e.Took, Err: e.Err,
	})
}

// revokeWithin is how long a gateway that stops waits for its leases to be revoked.
const revokeWithin = 10 * time.Second

// openSecrets opens what follows references, for as long as the gateway lives. Leases are
// revoked before the log is closed, which is handed over with secrets of its own.
func (g *Gateway) openSecrets(f *config.File) (err error) {
	g.first = f
	if g.secrets, err = f.OpenSecrets(secrets.Options{Journal: filepath.Join(f.Data(), "leases"), Report: g.reportSecret}); err != nil {
		return err
	}
	g.closers = append([]func() error{within(g.secrets.Close)}, append(g.closers, within(g.secrets.Drain))...)
	return nil
}

// within returns what waits for revocations so long.
func within(do func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), revokeWithin)
		defer cancel()
		return do(ctx)
	}
}

// nextSecrets returns what follows the references of f, which is to be the current
// revision or is the first one.
func (x *Explainer) nextSecrets(f *config.File) (*config.Secrets, error) {
	if before := x.parts(); before != nil {
		return before.secrets.Next(f)
	}
	return x.secrets, nil
}

// secret fetches what a reference leads to, by the current revision or, before that, by the
// first one.
func (g *Gateway) secret(ctx context.Context, ref string) (string, error) {
	if p := g.parts(); p != nil {
		return p.config.Secret(ctx, p.secrets, ref)
	}
	return g.first.Secret(ctx, g.secrets, ref)
}
