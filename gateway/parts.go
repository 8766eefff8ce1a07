package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// parts are what one revision of the config file is made of.
type parts struct {
	config  *config.File
	secrets *config.Secrets
	users   *identity.Users
	people  *people // nil where nothing is served
	deciding
	resources  proxy.Resources
	guardrail  *guardrail.Guardrail // nil: nothing is guarded
	masker     *masking.Masker      // nil: nothing is masked
	maskerKey  []byte
	protocols  int // that were open when it was made
	recordings func(t proxy.Target, least policy.Recording) audit.Recording
	retention  func(start *audit.Event) time.Duration // nil: everything is kept
	permit     func(who *proxy.Identity, p control.Permission) bool
	own        Interceptors
	notifiers  []notifier // nil where nothing is served
	rosters    map[string]*roster
	revision   *proxy.Revision
}

// make builds the parts of f, for g or, when that is nil, for explaining only. Their revision
// has no interceptors yet.
func (x *Explainer) make(ctx context.Context, f *config.File, g *Gateway) (*parts, error) {
	p := &parts{config: f, recordings: f.Recordings(), retention: f.Retention(), permit: f.Permit(), own: x.options.Interceptors}
	var err error
	if p.secrets, err = x.nextSecrets(f); err != nil {
		return nil, err
	}
	if err := p.fill(ctx, x, g); err != nil {
		p.secrets.Retire()
		return nil, err
	}
	return p, nil
}

// fill makes what needs secrets, and all else.
func (p *parts) fill(ctx context.Context, x *Explainer, g *Gateway) (err error) {
	f := p.config
	if p.users, err = f.Users(); err != nil {
		return err
	}
	if before := x.parts(); before != nil {
		p.users.Replace(before.users)
	}
	if p.resources, err = f.Directory(ctx, p.secrets); err != nil {
		return err
	}
	if err := p.decide(ctx, x); err != nil {
		return err
	}
	p.revision = &proxy.Revision{
		Authenticator: p.users, Directory: p.resources, Credentials: p.secrets,
		Limits: proxy.Limits{
			MaxSession: f.Limits.MaxSession, MaxSessions: f.Limits.MaxSessions, MaxPerIdentity: f.Limits.MaxPerUser,
			MaxUnauthenticated: f.Limits.MaxUnauthenticated, MaxPerAddress: f.Limits.MaxPerAddress,
		},
	}
	if g != nil {
		p.users.Owner, p.users.Now = g.proofs.local, g.clock
		if p.people, err = g.people(ctx, f, p.secrets); err != nil {
			return err
		}
		if p.notifiers, err = g.notifiers(ctx, f, p.secrets); err != nil {
			return err
		}
		if p.rosters, err = rosters(ctx, f, p.secrets); err != nil {
			return err
		}
		p.own.First = append([]proxy.Interceptor{g.proofs.limit, g.offline, g.runbooks.reviews}, p.own.First...)
		p.revision.Authenticator, p.revision.Linker = g.sources(p), g.proofs.links
	}
	if x.options.Authenticator != nil {
		p.revision.Authenticator = x.options.Authenticator(p.revision.Authenticator)
	}
	if x.options.Credentials != nil {
		p.revision.Credentials = x.options.Credentials(p.revision.Credentials)
	}
	return nil
}

// decide makes what decides. What would decide as that of the current revision is that
// one, so that sessions go on with what it knows of them.
func (p *parts) decide(ctx context.Context, x *Explainer) (err error) {
	f, before := p.config, x.parts()
	if before == nil {
		before = &parts{config: &config.File{}}
	}
	p.protocols = len(x.opened()) // which bring some of it
	same := p.protocols == before.protocols
	var decides bool // as before
	if p.deciding, decides, err = decidingOf(f, x.options.Log, x.parts(), x.budgets, x.grants); err != nil {
		return err
	}
	if p.guardrail = before.guardrail; !same || p.guardrail == nil || !f.SameGuardrails(before.config) {
		if p.guardrail, err = f.Guardrail(guardrail.Config{Limiters: x.limiters(), Estimators: x.estimators()}); err != nil {
			return err
		}
	}
	c := masking.Config{Sampler: x.sampler(), Memory: &x.memory}
	if profiles := f.Profiles(); len(profiles) > 0 {
		by := p.deciding
		c.Profiles = func(s *proxy.Session) []string { return by.asks(s, profiles).Masking }
		same = same && decides // else a session may have others
	}
	if x.dry { // nothing is shown, so that any key will do
		c.Key = []byte(rand.Text())
	} else if c.Key, err = f.MaskerKey(ctx, p.secrets); err != nil {
		return err
	}
	p.masker, p.maskerKey = before.masker, c.Key
	if !same || p.masker == nil || !bytes.Equal(c.Key, before.maskerKey) || !f.SameMasking(before.config) {
		p.masker, err = f.Masker(ctx, p.secrets, c)
	}
	return err
}

// recording is what is recorded of the data of a session.
func (p *parts) recording(s *proxy.Session) audit.Recording {
	return p.recordings(s.Target, p.asks(s, nil).Recording)
}

// chain is the interceptors in the order in which they are asked. originals keep what
// the masker hides: nobody asks them when nothing is masked. last come after everything
// that decides.
func (p *parts) chain(originals, last []proxy.Interceptor) []proxy.Interceptor {
	var guard, masking []proxy.Interceptor
	if p.guardrail != nil {
		guard = []proxy.Interceptor{p.guardrail}
	}
	if p.masker != nil {
		masking = append(slices.Clip(originals), p.masker)
	}
	return slices.Concat(
		p.own.First, p.deciding.chain(), p.own.AfterPolicy, guard, p.own.AfterGuardrails, masking, p.own.AfterMasking, last,
	)
}
