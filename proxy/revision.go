package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// Revision is everything that decides at a gateway and can change while it
// serves. It is immutable once it was given to [Gateway.Use], and swapped as a
// whole: no operation is judged by parts of two revisions.
type Revision struct {
	// Name names the revision in records; may be empty.
	Name          string
	Authenticator Authenticator
	Directory     Directory
	Credentials   CredentialSource
	Interceptors  []Interceptor
	// Certificates are what clients see, for handlers whose TLS configuration asks
	// [Gateway.Certificate]. The first is for clients that no other fits.
	Certificates []tls.Certificate
	// Linker has people log in by links that clients are shown. Nil: nobody does.
	Linker Linker
	Limits
}

func (r *Revision) records() bool {
	for _, i := range r.Interceptors {
		if _, ok := i.(Recorder); ok {
			return true
		}
	}
	return false
}

// Revision returns the current revision. It is read-only.
func (g *Gateway) Revision() *Revision {
	if r := g.revision.Load(); r != nil {
		return r
	}
	first := &Revision{
		Authenticator: g.Authenticator, Directory: g.Directory, Credentials: g.Credentials, Interceptors: g.Interceptors,
		Certificates: g.Certificates, Linker: g.Linker, Limits: g.Limits,
	}
	if g.revision.CompareAndSwap(nil, first) {
		return first
	}
	return g.revision.Load()
}

// Use makes r the current revision. Logins and sessions that begin from now on
// meet r at once, and open sessions at their next operation; operations that run
// already end as they began. An interceptor that is in both revisions keeps its
// hooks in sessions whose user and resource are what they were, and a [Recorder]
// keeps them in all. Every other is given each open session by Intercept, while
// operations may run, and finds what the interceptor of its name remembers in
// [Session.Earlier].
//
// Open sessions are brought to r without waiting for their next operation, by a
// goroutine that ends with the last of them. A session whose resource r does not have,
// or has at another address or with other settings, is killed, and so is one that r
// does not let connect, or whose user is gone, with what it is doing. So is one that runs
// an operation of a kind that lasts, see [Kind.Lasting], which r does not allow: Ask is
// called again about a copy of that operation, and neither Start nor Done. A session
// whose user has other groups goes on with them: see [Refresher].
//
// On an error, which is that r cannot be used, the current revision stays.
func (g *Gateway) Use(r *Revision) error {
	if err := g.recorded(r); err != nil {
		return err
	}
	g.Revision() // the first one is there, so that it is replaced
	g.revision.Store(r)
	if g.bringing.Add(1) == 1 {
		go g.bring()
	}
	return nil
}

// bringers bounds how many sessions are brought to a revision at once. One may wait,
// for an interceptor that asks somebody.
const bringers = 16

// bring brings open sessions to the current revision, until there is no later one.
func (g *Gateway) bring() {
	for {
		revisions := g.bringing.Load()
		// A session that is not connected meets the revision when its Connect goes on.
		g.each(func(s *Session) bool { return s.connected.Load() }, (*Session).renew)
		if g.bringing.CompareAndSwap(revisions, 0) {
			return
		}
	}
}

// each has renew bring the open sessions that which names, and kills those that must end.
func (g *Gateway) each(which func(*Session) bool, renew func(*Session, context.Context) error) {
	var wg sync.WaitGroup
	free := make(chan struct{}, bringers)
	for _, s := range g.Sessions() {
		if !which(s) {
			continue
		}
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if err := s.Protect("revision", func() error { return s.brought(renew) }); err != nil {
				s.Kill(err)
			}
		})
	}
	wg.Wait()
}

func (s *Session) brought(renew func(*Session, context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, or(s.gateway.AskTimeout, defaultAskTimeout))
	defer cancel()
	return renew(s, ctx)
}

// Recheck asks again who the users of the open sessions are that which names, since that
// has changed without a revision: sessions of users who are gone, or who may not connect
// any more, are killed, and those of users with other groups go on with them, as Use
// says. It returns when all of them were asked; their chains are those of the current
// revision then.
func (g *Gateway) Recheck(which func(*Session) bool) {
	g.rechecks.Add(1) // users who log in meanwhile are asked about before their session begins
	g.each(which, (*Session).recheck)
}

// Renew has clients that connect from now on shown these certificates, in the place of
// those of the current revision. Nothing else of the revision changes, and open sessions
// are not asked anything. The next Use ends it.
func (g *Gateway) Renew(certificates []tls.Certificate) {
	g.renewed.Store(&renewal{g.Revision(), certificates})
}

// renewal takes the place of a revision's certificates.
type renewal struct {
	of           *Revision
	certificates []tls.Certificate
}

// Certificate returns the certificate of the current revision, or of the last Renew,
// that fits hello best. It is for [tls.Config.GetCertificate].
func (g *Gateway) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	r := g.Revision()
	list := r.Certificates
	if n := g.renewed.Load(); n != nil && n.of == r {
		list = n.certificates
	}
	for i := range list {
		if hello.SupportsCertificate(&list[i]) == nil {
			return &list[i], nil
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the gateway has no certificate for clients")
	}
	return &list[0], nil
}

// same reports whether two revisions share an interceptor.
func same(a, b Interceptor) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.Type() == y.Type() && x.Comparable() && y.Comparable() && a == b
}

// hooks are one interceptor's part in one session, shared by the chains of the
// revisions that have the interceptor.
type hooks struct {
	name string
	from Interceptor
	Hooks
	chains atomic.Int32 // that use it
}

// release ends one chain's use, and closes the hooks with the last.
func (h *hooks) release(s *Session, err error) error {
	if h.chains.Add(-1) > 0 || h.Close == nil || s.Dry {
		return nil
	}
	return s.Protect(h.name, func() error { h.Close(err); return nil })
}

// build makes the chain of revision r for s, which is r's view of the session. It
// returns the chain as far as it came, also on an error.
func (s *Session) build(ctx context.Context, r *Revision, before *chain) (*chain, error) {
	var list []*hooks
	for _, i := range r.Interceptors {
		h := before.of(i)
		if h != nil && !s.seenAs(before.view) {
			if _, records := i.(Recorder); !records {
				h = nil // what it made up its mind about has changed
			}
		}
		if h == nil {
			h = &hooks{name: i.Name(), from: i}
			ictx, cancel := context.WithTimeout(ctx, or(s.gateway.AskTimeout, defaultAskTimeout))
			err := s.Protect(h.name, func() (err error) {
				h.Hooks, err = i.Intercept(ictx, s)
				return err
			})
			cancel()
			if err != nil {
				h.chains.Add(1)
				s.gateway.log().Warn("session refused", "by", h.name, "session", s.ID, "err", err)
				return newChain(s, r, append(list, h)), &InterceptError{Interceptor: h.name, Err: err}
			}
		}
		h.chains.Add(1)
		list = append(list, h)
	}
	return newChain(s, r, list), nil
}

// Earlier returns the State of the hooks that the interceptor of that name had in
// the latest revision that had one, while a later one takes the session over; nil
// when there is nothing. It is for Intercept.
func (s *Session) Earlier(name string) any {
	if s.before == nil {
		return nil
	}
	return s.before.state(name)
}

// Missed reports whether operations may have run that no interceptor of that name
// saw: a revision takes the session over, and the one before had none. It is for
// Intercept.
func (s *Session) Missed(name string) bool {
	return s.before != nil && !slices.ContainsFunc(s.before.list, func(h *hooks) bool { return h.name == name })
}

// TakenOver reports whether the session is open, and a revision takes it over: what
// it did so far was judged by others. It is for Intercept.
func (s *Session) TakenOver() bool { return s.before != nil }

// renew makes the session's chain that of the gateway's current revision. It
// returns why the session must end.
func (s *Session) renew(ctx context.Context) error {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	if s.chain.Load().revision == s.gateway.Revision() {
		return nil
	}
	return s.again(ctx)
}

// recheck is renew also when the session has the current revision's chain already.
func (s *Session) recheck(ctx context.Context) error {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	return s.again(ctx)
}

// errChanged ends a session that is not open yet, whose user has changed.
var errChanged = errors.New("what you may do has changed: connect again")

// again makes the session's chain another one, unless it would be the same. s.renewing
// is held.
func (s *Session) again(ctx context.Context) error {
	before, r := s.chain.Load(), s.gateway.Revision()
	if s.ctx.Err() != nil {
		return nil
	}
	if before == nil { // a recheck, and it is about to begin
		return errChanged
	}
	view, err := s.seen(ctx, r, before)
	if err != nil {
		return err
	}
	if before.revision == r {
		if view.seenAs(before.view) {
			return nil
		}
		if !s.connected.Load() { // its Connect is judged by what has changed
			return errChanged
		}
	}
	next, err := view.build(ctx, r, before)
	view.before = nil
	next.inherit(before)
	if err != nil {
		next.release(view, err)
		return err
	}
	if s.connected.Load() { // else its Connect is asked about it
		if err := view.reconnect(ctx, next); err != nil {
			next.release(view, err)
			return err
		}
	}
	s.mu.Lock()
	s.chain.Store(next)
	before.retired.Store(true)
	s.mu.Unlock()
	s.gateway.revised(view)
	if before.running.Load() == 0 {
		before.release(view, nil)
	}
	if r.Name == "" || r.Name != before.revision.Name || !view.seenAs(before.view) { // else it is judged as before
		n := &Note{Kind: NoteRevised, Text: r.Name}
		if view.Identity != before.view.Identity {
			n.Identity = view.Identity
		}
		if err := view.tellNote(ctx, next, nil, n); err != nil {
			return err
		}
	}
	return view.goOn(ctx, next)
}

// seen returns the session as revision r describes it.
func (s *Session) seen(ctx context.Context, r *Revision, before *chain) (*Session, error) {
	view := *before.view
	view.before = before
	if !s.Dry {
		var err error
		if view.Identity, err = refreshed(ctx, r, view.Identity); err != nil {
			return nil, err
		}
	}
	if r.Directory == nil || before.revision.Directory == nil {
		return &view, nil
	}
	was := view.Target.Resource
	now, err := r.Directory.Lookup(ctx, was.Name)
	if err != nil {
		return nil, fmt.Errorf("resource %s is no longer available: %w", was.Name, err)
	}
	account, ok := now.Account(view.Target.Account.Name)
	if account, err = now.For(view.Identity, account); err != nil {
		return nil, err
	}
	if now.Address != was.Address || now.Via != was.Via || now.Type != was.Type || !ok && view.Target.Account.Name != "" || account.Username != view.Target.Account.Username ||
		!reflect.DeepEqual(now.Settings, was.Settings) { // by which the handler serves it
		return nil, fmt.Errorf("resource %s has changed: connect again", was.Name)
	}
	if !now.equal(was) {
		view.Target.Resource = now
	}
	return &view, nil
}

// refreshed returns who id is now, which is id itself when nothing has changed.
func refreshed(ctx context.Context, r *Revision, id *Identity) (*Identity, error) {
	a, ok := r.Authenticator.(Refresher)
	if !ok {
		return id, nil
	}
	now, err := a.Refresh(ctx, id)
	switch {
	case errors.Is(err, ErrUnavailable):
		return id, nil
	case err != nil:
		return nil, err
	case now == nil || now.Subject != id.Subject:
		return nil, ErrUnauthenticated
	case reflect.DeepEqual(now, id):
		return id, nil
	}
	return now, nil
}

// seenAs reports whether interceptors see in s the user and the resource of before.
func (s *Session) seenAs(before *Session) bool {
	return s.Identity == before.Identity && s.Target.Resource == before.Target.Resource
}

// reconnect asks the interceptors of c whether the session, which is open, may connect.
func (s *Session) reconnect(ctx context.Context, c *chain) error {
	s.mu.Lock()
	admitted := s.admitted
	s.mu.Unlock()
	v := s.reask(ctx, c, &right{&Connect{Meta: Meta{Kind: KindConnect}, Target: s.Target, Params: s.params}, admitted})
	if v.Action == ActionPass || v.Action == ActionRewrite {
		v = noRule(s)
	}
	return refusal(v)
}

// goOn asks the interceptors of c whether what runs in the session may go on.
func (s *Session) goOn(ctx context.Context, c *chain) error {
	for _, r := range s.rights() {
		if err := refusal(s.reask(ctx, c, r)); err != nil {
			return err
		}
	}
	return nil
}

func refusal(v Verdict) error {
	if v.Refuses() {
		return &RefusedError{Verdict: v}
	}
	return nil
}
