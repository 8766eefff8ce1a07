package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/proxy"
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
		Directory: r.Directory, Credentials: r.Credentials, Dialer: x.options.Dialer, Interceptors: []proxy.Interceptor{anything{}},
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
