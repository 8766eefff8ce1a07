package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// proofs are what people and programs prove themselves with that the gateway has given them.
// They are there as long as the gateway.
type proofs struct {
	certificates *ca.Users
	tokens       *tokens.Tokens
	members      *identity.Members
	local        *local.Credentials
	limit        *tokens.Limit
	links        *link.Links
}

// openProofs reads the authority for users, or makes it.
func (g *Gateway) openProofs(ctx context.Context) error {
	docs := g.state.documents
	authority, err := ca.OpenAuthority(ctx, ca.ForUsers, g.state.authorities())
	if err != nil {
		return err
	}
	mock, err := g.state.key(ctx, "unknown-logins", random)
	if err != nil {
		return err
	}
	g.proofs = &proofs{
		certificates: &ca.Users{Authority: authority, Documents: docs, Owner: g.owner, Changed: g.changed},
		tokens: &tokens.Tokens{
			Documents: docs, Key: mock, Log: g.log, Changed: g.changed, Now: g.clock,
			Owner: func(ctx context.Context, subject string) (*proxy.Identity, error) { return g.owner(ctx, subject, "") },
		},
		members: &identity.Members{Documents: docs, Changed: g.changed},
		links: &link.Links{
			Documents: docs, Sealer: g.state.sealer, Log: g.log, Terms: g.linkTerms, URL: func() string { return g.parts().config.API.URL },
		},
		local: g.state.credentials(g.changed),
	}
	g.proofs.limit = &tokens.Limit{Tokens: g.proofs.tokens, Compile: scopes}
	return nil
}

// scopes reads the scopes of a token as access rules.
func scopes(list []tokens.Scope) (proxy.Interceptor, error) {
	rules := make([]policy.Rule, len(list))
	for i, s := range list {
		rules[i] = policy.Rule{Groups: []string{"*"}, Resources: s.Resources, Allow: append([]string{"connect"}, s.Actions...)}
	}
	return policy.New(rules)
}

// linkTerms says how a client is offered a login link, by the current revision. A user of the
// file and an access token have something to prove themselves with.
func (g *Gateway) linkTerms(q proxy.LinkRequest) (link.Terms, bool) {
	l := g.parts().config.LoginLink(q.Login.User, q.Resource, q.Protocol)
	if l == nil || tokens.Names(q.Login.User) || strings.HasPrefix(q.Login.User, offlinePrefix) {
		return link.Terms{}, false
	}
	return link.Terms{AnyAddress: !l.SameAddress}, true
}

// people are those that the identity section of a config file lets in, besides its users: who
// has logged in at a provider, and what a directory says of them.
type people struct {
	of        *config.File
	secrets   []proxy.Secret
	logins    *oidc.Logins    // nil: there are no providers
	directory *scim.Directory // nil: there is no directory
	scim      http.Handler    // by which the directory is told
	sessions  *tokens.Sessions
	auth      *oidc.Handler // nil: there are no providers
	workloads workloads
}

// people returns those of f, which are the ones of the current revision when nothing about
// them has changed. from follows the references of f.
func (g *Gateway) people(ctx context.Context, f *config.File, from *config.Secrets) (*people, error) {
	secrets, err := f.ProviderSecrets(ctx, from)
	if err != nil {
		return nil, err
	}
	if before := g.parts(); before != nil && f.SameIdentity(before.people.of) && slices.Equal(secrets, before.people.secrets) {
		return before.people, nil
	}
	times := f.Identity.Sessions
	life := cmp.Or(times.Life, tokens.DefaultSessionLife)
	p := &people{of: f, secrets: secrets, workloads: workloadsOf(f), sessions: &tokens.Sessions{
		Documents: g.state.documents, Refresher: identities{g}, Idle: times.Idle, Life: life, Changed: g.changed, Now: g.clock,
	}}
	providers, err := f.Providers(secrets)
	if err != nil {
		return nil, err
	}
	if len(providers) > 0 {
		p.logins = &oidc.Logins{
			Providers: providers, Documents: g.state.documents, Sealer: g.state.sealer, Every: times.Recheck, Stale: times.Stale, Life: life,
			Changed: g.changed, Log: g.log,
		}
		if err := p.logins.Check(); err != nil {
			return nil, err
		}
		if err := p.logins.Load(ctx); err != nil {
			return nil, err
		}
		p.auth = &oidc.Handler{
			Logins: p.logins, Sessions: control.Recorded{Handler: g.control, Sessions: p.sessions}, Sealer: g.state.sealer, Workloads: f.Workloads(),
			Cookie: control.SessionCookie, Failed: g.control.LoginFailed, Log: g.log,
		}
	}
	if s := f.Identity.SCIM; s != nil {
		p.directory = &scim.Directory{Documents: g.state.documents, Provider: s.Provider, Required: s.Required, Changed: g.changed}
		if err := p.directory.Load(ctx); err != nil {
			return nil, err
		}
		p.scim = http.StripPrefix("/scim/v2", &scim.Handler{Directory: p.directory, Authorize: authorize(scim.Bearer(s.Hashes()...)), URL: f.SCIMURL(), Log: g.log})
	}
	return p, nil
}

// catchUp has the directory of p, which is the current revision now, see what was told to the one
// from before while p was made.
func (g *Gateway) catchUp(p *parts) {
	if p.people.directory == nil {
		return
	}
	if err := p.people.directory.Load(context.Background()); err != nil {
		g.log.Error("what the directory has said while the configuration changed is seen later", "err", err)
	}
}

// sources are all ways to prove who somebody is in p: what the gateway has given out, logins
// at providers, and the users of the file.
func (g *Gateway) sources(p *parts) proxy.Authenticator {
	s := &identity.Sources{Refine: []proxy.Refresher{g.proofs.members}}
	s.List = append(s.List,
		identity.Source{Authenticator: g.proofs.certificates, Owns: claims(identity.ClaimCertificate)},
		identity.Source{Authenticator: g.proofs.tokens, Names: tokens.Names, Owns: claims(identity.ClaimToken)},
	)
	if p.people.logins != nil {
		s.List = append(s.List, identity.Source{Refresher: p.people.logins, Owns: func(id *proxy.Identity) bool {
			return id.Claims[identity.ClaimIssuer] != "" && id.Kind == proxy.Human
		}}, identity.Source{Refresher: p.people.workloads, Owns: func(id *proxy.Identity) bool {
			return id.Claims[identity.ClaimIssuer] != "" && id.Kind == proxy.Service
		}})
	}
	s.List = append(s.List, identity.Source{Authenticator: p.users, Names: func(string) bool { return true }})
	if p.people.directory != nil {
		s.Refine = append(s.Refine, p.people.directory)
	}
	return withOffline{&reminded{s, g}, g.offline}
}

// dropChoices forgets the passwords that users of p, which is the current revision now, have chosen
// in place of others than the file gives them.
func (g *Gateway) dropChoices(p *parts) {
	ctx := context.Background()
	dropped, err := g.proofs.local.Drop(ctx, p.users)
	if err != nil { // they count no more all the same
		g.log.Error("passwords that users have chosen before the file gave them new ones are forgotten later", "err", err)
	}
	for _, name := range dropped {
		a := audit.Action{Type: audit.AdminFactor, Action: "the file's password counts", Reason: name}
		if err := g.records.Act(a); err != nil {
			g.log.Error("recording that the file gives a user a new password", "user", name, "err", err)
		}
	}
}

// provenByPassword reports whether a password has proven who has a session, and not an access
// token.
func provenByPassword(s *proxy.Session) bool {
	return identity.ByPassword(s.Identity.Method) && s.Identity.Claims[identity.ClaimToken] == ""
}

// reminded are sources of which the gateway remembers that they could not tell.
type reminded struct {
	*identity.Sources
	gateway *Gateway
}

// Refresh implements [proxy.Refresher].
func (a *reminded) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	now, err := a.Sources.Refresh(ctx, id)
	if errors.Is(err, proxy.ErrUnavailable) {
		a.gateway.unasked.Store(true)
	}
	return now, err
}

// workloads are the services of programs that may log in, by their names.
type workloads map[string]*oidc.Workload

func workloadsOf(f *config.File) workloads {
	all := make(workloads)
	for _, list := range f.Workloads() {
		for i := range list {
			all[list[i].Service] = &list[i]
		}
	}
	return all
}

// Refresh implements [proxy.Refresher] for identities that a workload's token has proven.
func (w workloads) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	now, ok := w[id.Subject]
	if !ok {
		return nil, fmt.Errorf("the service %s is not known to the gateway any more", id.Subject)
	}
	if slices.Equal(now.Groups, id.Groups) && now.Owner == id.Claims[identity.ClaimCreator] {
		return id, nil
	}
	is := *id
	is.Groups, is.Claims = slices.Clone(now.Groups), answersFor(id.Claims, now.Owner)
	return &is, nil
}

// answersFor returns claims with who answers for a service; empty: nobody does.
func answersFor(claims map[string]string, owner string) map[string]string {
	with := maps.Clone(claims)
	delete(with, identity.ClaimCreator)
	if owner != "" {
		if with == nil {
			with = make(map[string]string)
		}
		with[identity.ClaimCreator] = owner
	}
	return with
}

func claims(name string) func(id *proxy.Identity) bool {
	return func(id *proxy.Identity) bool { return id.Claims[name] != "" }
}

// owner returns who has a certificate or token now: of a login that goes on, of the file's users,
// or of the directory.
func (g *Gateway) owner(ctx context.Context, subject, login string) (*proxy.Identity, error) {
	p := g.parts()
	if w, ok := p.people.workloads[subject]; ok { // which no user of the file is called like
		return &proxy.Identity{Subject: subject, Name: subject, Groups: w.Groups, Kind: proxy.Service, Claims: answersFor(nil, w.Owner)}, nil
	}
	provider, _, provided := strings.Cut(subject, "/")
	if !provided {
		return p.users.Find(subject)
	}
	switch logins := p.people.logins; {
	case logins == nil:
		return nil, fmt.Errorf("%s logs in at %s, which is not an identity provider here any more", subject, provider)
	case login != "":
		return logins.Refresh(ctx, &proxy.Identity{Subject: subject, Claims: map[string]string{identity.ClaimLogin: login}})
	case p.people.directory != nil && p.people.directory.Knows(subject):
		return &proxy.Identity{Subject: subject}, nil // with groups of the directory's, which refines it
	default:
		return logins.Of(ctx, subject)
	}
}

// changed has open sessions follow what has happened to somebody.
func (g *Gateway) changed(c identity.Change) {
	concerned := func(s *proxy.Session) bool { return c.Concerns(s.Identity) }
	if c.Ended {
		g.doubt(c.Subject)
		for _, s := range g.gateway.Sessions() {
			if concerned(s) {
				s.Kill(errors.New(c.Reason))
			}
		}
	}
	g.gateway.Recheck(concerned)
	g.control.Recheck()
}

// keepPeople asks the providers of the current revision again when it is time, and forgets
// sessions and tokens that have expired, until ctx ends.
func (g *Gateway) keepPeople(ctx context.Context) {
	for ctx.Err() == nil {
		p := g.parts()
		running, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		if p.people.logins != nil {
			wg.Go(func() {
				if err := p.people.logins.Run(running); err != nil && running.Err() == nil {
					g.log.Error("logins at identity providers are not looked after any more", "err", err)
				}
			})
		}
		for running.Err() == nil && g.parts().people == p.people {
			if err := errors.Join(p.people.sessions.Sweep(running), (&tokens.Apps{Sessions: p.people.sessions}).Sweep(running), g.proofs.tokens.Sweep(running)); err != nil && running.Err() == nil {
				g.log.Warn("sessions and tokens that have expired could not be removed: it is tried again", "err", err)
			}
			select {
			case <-g.applied:
			case <-time.After(sweepEvery):
			case <-ctx.Done():
			}
		}
		stop()
		wg.Wait()
	}
}
