package gateway

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// strict is an authenticator that turns away one user of the file.
type strict struct{ proxy.Authenticator }

func (s strict) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if p.User == "alice" {
		return nil, proxy.ErrUnauthenticated
	}
	return s.Authenticator.Authenticate(ctx, p)
}

// Who may not log in does not decide about requests either.
func TestDecidersAreAuthenticated(t *testing.T) {
	f := parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:0"}, resources: [], identity: {users: [{name: alice, password: `+verifier(t)+`}, {name: bob, password: `+verifier(t)+`}]}}`)
	proof := func(user string) proxy.Proof {
		return proxy.Proof{Method: proxy.MethodPassword, User: user, Password: proxy.NewSecret("wonder"), Protocol: "control"}
	}
	for name, tt := range map[string]struct {
		authenticator func(proxy.Authenticator) proxy.Authenticator
		may           []string
	}{
		"the file's users": {nil, []string{"alice", "bob"}},
		"an own one":       {func(local proxy.Authenticator) proxy.Authenticator { return strict{local} }, []string{"bob"}},
		"nobody":           {func(proxy.Authenticator) proxy.Authenticator { return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := *f
			file.DataDir = t.TempDir()
			g, err := New(&file, Options{Log: slog.New(slog.DiscardHandler), Authenticator: tt.authenticator})
			require.NoError(t, err)
			defer g.Close()
			var may []string
			for _, user := range []string{"alice", "bob"} {
				if _, err := g.control.Deciders.Authenticate(t.Context(), proof(user)); err == nil {
					may = append(may, user)
				}
			}
			require.Equal(t, tt.may, may)
		})
	}
}

// A person decides: neither her access token nor a service does, though both log in.
func TestDecidersArePeople(t *testing.T) {
	f := parse(t, config.Options{}, `{listen: {postgres: "127.0.0.1:0"}, resources: [], identity: {users: [{name: bob, password: `+verifier(t)+`}]}}`)
	g, err := New(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer g.Close()
	require.NoError(t, g.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "ci", Kind: proxy.Service}))
	for _, user := range []string{"bob", "ci"} {
		_, secret, err := g.proofs.tokens.Create(t.Context(), tokens.Token{Subject: user, User: user, Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		proof := proxy.Proof{Method: proxy.MethodPassword, User: user, Password: secret, Protocol: "control"}
		_, err = g.parts().revision.Authenticator.Authenticate(t.Context(), proof)
		require.NoError(t, err, user)
		_, err = g.control.Deciders.Authenticate(t.Context(), proof)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, user)
	}
}
