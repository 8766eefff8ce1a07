package gateway

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/secrets"
)

// secretUses tells the log what happens to secrets. What happens before the log is open is
// told when it is.
type secretUses struct {
	operators *slog.Logger

	mu      sync.Mutex
	records *audit.Log
	early   []audit.SecretUse
}

var secretTypes = map[secrets.EventKind]string{
	secrets.Resolved: audit.SecretResolve, secrets.Renewed: audit.SecretRenew, secrets.Revoked: audit.SecretRevoke, secrets.Lost: audit.SecretLost,
}

func (s *secretUses) report(e secrets.Event) {
	u := audit.SecretUse{
		Type: secretTypes[e.Kind], Ref: e.Ref, User: e.Actor, Session: e.Session, Version: e.Version, Lease: e.Lease, Expires: e.Expires,
		Cached: e.Cached, Took: e.Took, Err: e.Err,
	}
	if e.Err != nil && e.Kind != secrets.Resolved { // of which who asked tells
		s.operators.Warn("a lease of a secret could not be renewed or revoked, or has ended", "what", e.Kind.String(), "ref", e.Ref, "lease", e.Lease, "session", e.Session, "err", e.Err)
	}
	s.mu.Lock()
	records := s.records
	if records == nil {
		s.early = append(s.early, u)
	}
	s.mu.Unlock()
	if records != nil {
		records.Secret(u)
	}
}

// begin has everything told to records from now on.
func (s *secretUses) begin(records *audit.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
	for _, u := range s.early {
		records.Secret(u)
	}
	s.early = nil
}

// revokeWithin is how long a gateway that stops waits for its leases to be revoked.
const revokeWithin = 10 * time.Second

// openSecrets opens what follows references, for as long as the gateway lives. Leases
// are revoked when the sessions have ended; audit sinks can have their secrets until the
// end.
func (g *Gateway) openSecrets(f *config.File) (err error) {
	if err := os.MkdirAll(f.Data(), 0o700); err != nil {
		return err
	}
	g.first = f
	if g.secrets, err = f.OpenSecrets(secrets.Options{Journal: filepath.Join(f.Data(), "leases"), Report: g.uses.report}); err != nil {
		return err
	}
	g.closers = append(g.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), revokeWithin)
		defer cancel()
		return g.secrets.Close(ctx)
	})
	return nil
}

// drainSecrets revokes what is leased.
func (g *Gateway) drainSecrets() error {
	ctx, cancel := context.WithTimeout(context.Background(), revokeWithin)
	defer cancel()
	return g.secrets.Drain(ctx)
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
