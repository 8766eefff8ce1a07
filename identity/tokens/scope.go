package tokens

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Limit is the interceptor that holds sessions to the scopes of the token that has
// proven them. It takes away, and allows nothing: what its owner may not do, no scope
// permits. It comes before all others.
type Limit struct {
	Tokens *Tokens
	// Compile makes an interceptor of scopes: access rules for everybody, with the
	// scopes' resources and actions, and the right to connect there. Words of actions
	// are an assembly's; see package policy.
	Compile func(scopes []Scope) (proxy.Interceptor, error)
}

// Name returns "token".
func (l *Limit) Name() string { return "token" }

// Intercept implements [proxy.Interceptor].
func (l *Limit) Intercept(ctx context.Context, s *proxy.Session) (proxy.Hooks, error) {
	id := s.Identity.Claims[identity.ClaimToken]
	if id == "" {
		return proxy.Hooks{}, nil
	}
	_, k, err := l.Tokens.get(ctx, id)
	if err != nil {
		return proxy.Hooks{}, fmt.Errorf("token %s: %w", id, err)
	}
	if k.subject() != s.Identity.Subject {
		return proxy.Hooks{}, fmt.Errorf("token %s is not one of %s", id, s.Identity.Subject)
	}
	if len(k.Scopes) == 0 {
		return proxy.Hooks{}, nil
	}
	if l.Compile == nil {
		return proxy.Hooks{}, errors.New("nothing reads the scopes of tokens in this gateway")
	}
	rules, err := l.Compile(k.Scopes)
	if err != nil {
		return proxy.Hooks{}, fmt.Errorf("the scopes of token %s: %w", id, err)
	}
	inner, err := rules.Intercept(ctx, s)
	if err != nil {
		return proxy.Hooks{}, err
	}
	if inner.Ask == nil {
		return proxy.Hooks{}, fmt.Errorf("the scopes of token %s decide nothing", id)
	}
	rule := "token " + id
	return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		v := inner.Ask(ctx, op)
		switch v.Action {
		case proxy.ActionAllow, proxy.ActionPass:
			return proxy.Pass()
		}
		v.Action, v.Cause, v.Rule = proxy.ActionDeny, proxy.CausePolicy, rule
		if v.Remedy == "" {
			v.Remedy = "use a token whose scope has it"
		}
		return v
	}, Close: inner.Close}, nil
}
