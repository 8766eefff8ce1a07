package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/runbook"
	"github.com/sallyport/sallyport/runbook/git"
)

// runbooks are the sources of runbooks, and what runs them.
type runbooks struct {
	*Gateway
	sources []*source
	runner  *runbook.Runner
	reviews *runReviews
}

// source is one of them, with what the config file says of it.
type source struct {
	*git.Source
	config *config.Runbooks
}

// openRunbooks opens the sources of f. The gateway has none where f says none.
func (g *Gateway) openRunbooks(ctx context.Context, f *config.File) error {
	if len(f.Runbooks) == 0 {
		return nil
	}
	b := g.runbooks
	for i := range f.Runbooks {
		c := &f.Runbooks[i]
		s, err := git.Open(f.RunbookSource(c, g.secret))
		if err != nil {
			return err
		}
		b.sources = append(b.sources, &source{s, c})
	}
	b.runner = &runbook.Runner{Store: g.state.store, Gate: runGate{b}, Log: g.log}
	if err := runbook.Open(ctx, b.runner); err != nil {
		return err
	}
	g.closers = append(g.closers, b.runner.Close)
	return nil
}

// run keeps the sources up to date, and begins what schedules say, until ctx ends.
func (b *runbooks) run(ctx context.Context) {
	if b.runner == nil {
		return
	}
	var wg sync.WaitGroup
	for _, s := range b.sources {
		wg.Go(func() {
			if err := s.Warm(ctx); err != nil {
				b.log.Debug("runbooks: the source has not been mirrored yet", "source", s.Name(), "err", err)
			}
			said := true
			for ; ctx.Err() == nil; pause(ctx, s.config.Interval()) {
				err := s.Fetch(ctx)
				if said != (err == nil) && ctx.Err() == nil {
					if said = err == nil; said {
						b.log.Info("runbooks: the source is fetched again", "source", s.Name())
					} else {
						b.log.Warn("runbooks: the source cannot be fetched: what was fetched last goes on to be used", "source", s.Name(), "err", err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for pause(ctx, ticks); ctx.Err() == nil; pause(ctx, ticks) {
			if err := b.runner.Tick(ctx, b.scheduled(ctx)); err != nil && ctx.Err() == nil {
				b.log.Warn("runbooks: schedules", "err", err)
			}
		}
	})
	wg.Wait()
}

// ticks is how often schedules are looked at.
const ticks = 5 * time.Second

// scheduled are the runbooks with a schedule.
func (b *runbooks) scheduled(ctx context.Context) (list []runbook.Scheduled) {
	for _, s := range b.sources {
		snap, err := s.Latest()
		if err != nil {
			continue // the log says so
		}
		for _, book := range snap.List() {
			if book.Err != nil || book.Runbook.Schedule == nil {
				continue
			}
			as := book.Runbook.Schedule.As
			list = append(list, runbook.Scheduled{
				Source: s.Name(), Name: book.Name, Schedule: book.Runbook.Schedule,
				Who: func(ctx context.Context) (*proxy.Identity, error) {
					if !slices.Contains(s.config.Services, as) {
						return nil, fmt.Errorf("the schedules of %s may not run as %q: list it in services", s.Name(), as)
					}
					who, err := identities{b.Gateway}.Refresh(ctx, &proxy.Identity{Subject: as})
					if err == nil && who.Kind != proxy.Service {
						err = fmt.Errorf("%q is not a service", as)
					}
					return who, err
				},
				Plan: func(ctx context.Context, who *proxy.Identity) (*runbook.Plan, error) {
					return b.plan(ctx, who, s, snap, book.Name, book.Runbook.Schedule.Choice())
				},
			})
		}
	}
	return list
}

// plan is a plan of the runbook of a snapshot.
func (b *runbooks) plan(ctx context.Context, who *proxy.Identity, s *source, snap *git.Snapshot, name string, choice runbook.Choice) (*runbook.Plan, error) {
	book, err := snap.Book(ctx, name)
	if err != nil {
		return nil, err
	}
	return book.Runbook.Plan(snap.Origin(book), choice, b.reachable(ctx, who))
}

// reachable are the resources that somebody may connect to.
func (b *runbooks) reachable(ctx context.Context, who *proxy.Identity) (list []runbook.Resource) {
	p := b.parts()
	for _, r := range p.resources {
		s := b.service(r.Type)
		if s == nil {
			continue
		}
		out := runbook.Resource{Name: r.Name, Type: r.Type, Labels: r.Labels, Commands: s.Clients.Command != nil, Requests: s.Clients.Request != nil}
		if q := s.Clients.SQL; q != nil && s.Clients.Database != nil {
			out.Dialect = &runbook.Dialect{Numbered: q.Numbered, Quote: q.Quote}
		}
		for _, a := range r.Accounts {
			if p.may(ctx, who, proxy.Target{Resource: r, Account: a, Database: r.Database}) {
				if len(r.Accounts) > 1 {
					out.Account = a.Name
				}
				list = append(list, out)
				break
			}
		}
	}
	return list
}

// find returns a source and what it has now.
func (b *runbooks) find(name string) (*source, *git.Snapshot, error) {
	for _, s := range b.sources {
		if s.Name() == name {
			snap, err := s.Latest()
			return s, snap, err
		}
	}
	return nil, nil, control.NotFound("no source of runbooks of this name found")
}

// runReviews holds what runbooks want approved of themselves.
type runReviews struct{ holds sync.Map }

// Name implements [proxy.Interceptor].
func (*runReviews) Name() string { return "runbooks" }

// Intercept implements [proxy.Interceptor].
func (r *runReviews) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind != proxy.KindRunbook {
			return proxy.Pass()
		}
		h, ok := r.holds.Load(op)
		if !ok {
			return proxy.Pass()
		}
		hold, ok := h.(*proxy.Hold)
		if !ok {
			return proxy.Deny(proxy.CauseInternal, "", "what the runbook wants approved is not known", "")
		}
		return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: hold.Rules[0], Reason: hold.Message, Hold: hold}
	}}, nil
}

// runGate lets the steps of runs through.
type runGate struct{ *runbooks }

var errNoAuthor = errors.New("it is not known who the commit's author is: list the mail address in the source's authors")

// People implements [runbook.Gate].
func (r runGate) People(name string, mails ...string) ([]string, error) {
	var list []string
	for _, s := range r.sources {
		if s.Name() != name {
			continue
		}
		for _, m := range mails {
			subject := s.config.Authors[m]
			if subject == "" {
				return nil, errNoAuthor
			}
			list = append(list, subject)
		}
	}
	if len(list) != len(mails) {
		return nil, errNoAuthor
	}
	return list, nil
}

// Secret implements [runbook.Gate].
func (r runGate) Secret(ctx context.Context, name, ref string) (string, error) {
	for _, s := range r.sources {
		if s.Name() == name && slices.Contains(s.config.Secrets, ref) {
			return r.secret(ctx, ref)
		}
	}
	return "", errors.New("the source's runbooks may not use this reference: list it in secrets")
}

// Standing implements [runbook.Gate].
func (r runGate) Standing(_ context.Context, who *proxy.Identity) (list []runbook.Scope, err error) {
	for _, s := range r.desk.StandingOf(who) {
		if s.Kind == proxy.KindRunbook.String() {
			list = append(list, runbook.Scope{Request: s.ID, Text: s.Standing.Scope})
		}
	}
	return list, nil
}

// Begin implements [runbook.Gate].
func (r runGate) Begin(ctx context.Context, who *proxy.Identity, at runbook.Resource, held func(*proxy.Pending)) (runbook.Session, error) {
	p := r.parts()
	resource, err := p.resources.Lookup(ctx, at.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	}
	account := resource.Accounts[0]
	for _, a := range resource.Accounts {
		if a.Name == at.Account {
			account = a
		}
	}
	s, connect, err := r.gateway.Open(ctx, proxy.OpenRequest{
		Identity: who, Target: proxy.Target{Resource: resource, Account: account, Database: resource.Database}, Protocol: resource.Type, OnHold: held,
	})
	if err != nil {
		return nil, refusedRun(err)
	}
	s.Handle(func(_ proxy.Op, p *proxy.Pending) { held(p) }, nil)
	s.Done(connect, &proxy.Outcome{})
	return &runSession{s, r.reviews}, nil
}

// refusedRun is an error of the chain, for who runs something.
func refusedRun(err error) error {
	var refused *proxy.RefusedError
	if errors.As(err, &refused) || errors.Is(err, proxy.ErrUnauthenticated) || errors.Is(err, proxy.ErrNotFound) {
		return fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	}
	return err
}

// runSession is the session of a run.
type runSession struct {
	*proxy.Session
	reviews *runReviews
}

// ID implements [runbook.Session].
func (s *runSession) ID() string { return s.Session.ID }

// Ask implements [runbook.Session].
func (s *runSession) Ask(ctx context.Context, text string, hold *proxy.Hold) ([]runbook.Grant, error) {
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindRunbook}, Command: text}
	if hold != nil {
		s.reviews.holds.Store(op, hold)
		defer s.reviews.holds.Delete(op)
	}
	asked, cancel := context.WithCancelCause(s.Context())
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { cancel(fmt.Errorf("%w: %w", proxy.ErrCanceled, context.Cause(ctx))) })
	defer stop()
	v := s.Session.Ask(asked, op)
	if v.Refuses() {
		return nil, fmt.Errorf("%w: %s", runbook.ErrRefused, strings.TrimSpace(v.Reason+" "+v.Remedy))
	}
	defer s.Done(op, &proxy.Outcome{})
	request, by, ok := strings.Cut(v.Grant, " by ")
	if !ok {
		return nil, nil
	}
	return []runbook.Grant{{Request: request, By: by}}, nil
}
