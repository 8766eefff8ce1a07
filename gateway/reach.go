package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// reachTime bounds one login that Reach tries.
const reachTime = 20 * time.Second

// Reach logs in to the target's resource with the credential of its account, as
// sessions do, and leaves. Nobody is asked whether that is allowed, and nothing is
// recorded: it is for operators. The error says why sessions would fail, in words that
// are not for users.
func (x *Explainer) Reach(ctx context.Context, t proxy.Target) error {
	s := x.service(t.Resource.Type)
	if s == nil || s.Reach == nil {
		return fmt.Errorf("resource %s: its protocol cannot be tried", t.Resource.Name)
	}
	r := x.parts().revision
	g := &proxy.Gateway{
		Directory: r.Directory, Credentials: r.Credentials, Dialer: x.options.Dialer, Via: x.gateway.Via, Interceptors: []proxy.Interceptor{anything{}},
		Log: slog.New(slog.DiscardHandler), Unrecorded: true,
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	session, _, err := g.Open(ctx, proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "operator"}, Target: t, Protocol: t.Resource.Type, Dry: true,
	})
	if err != nil {
		return err
	}
	defer session.Close(nil)
	if err := s.Reach(ctx, session); err != nil {
		return &unreached{err}
	}
	return nil
}

// ReachEach tries each account of each resource and calls each with what came of it. name is the resource's, with
// its account where it has several. An account of each person's own is not tried.
func (x *Explainer) ReachEach(ctx context.Context, each func(r *proxy.Resource, name string, tried bool, err error)) {
	for _, r := range x.Resources() {
		targets := make(map[string]proxy.Target)
		for _, a := range r.Accounts {
			targets[a.Name] = proxy.Target{Resource: r, Account: a, Database: r.Database}
		}
		if r.Own != (proxy.Account{}) {
			own := *r
			own.Accounts = []proxy.Account{r.Own}
			targets["the gateway itself"] = proxy.Target{Resource: &own, Account: r.Own, Database: r.Database}
		}
		for _, as := range slices.Sorted(maps.Keys(targets)) {
			name := r.Name
			if len(targets) > 1 {
				name += " as " + as
			}
			if a := targets[as].Account; a.Personal() || secrets.Personal(a.Secret) {
				each(r, name, false, nil)
				continue
			}
			each(r, name, true, x.Reach(ctx, targets[as]))
		}
	}
}

// unreached is why a resource cannot be reached, with what is hidden from clients.
type unreached struct{ error }

func (u *unreached) Error() string { return reason(u.error) }

func (u *unreached) Unwrap() error { return u.error }

// Resources are those of the config file.
func (x *Explainer) Resources() proxy.Resources { return x.parts().resources }

// anything lets everything be done.
type anything struct{}

func (anything) Name() string { return "operator" }

func (anything) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("operator") }}, nil
}
