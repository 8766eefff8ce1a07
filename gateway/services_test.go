package gateway

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// echo is a handler of a protocol that this module does not have.
type echo struct{ resource string }

func (echo) Protocol() string                             { return "echo" }
func (echo) ServeConn(context.Context, *proxy.Conn) error { return nil }
func (echo) Limit(text []byte, n int) ([]byte, error)     { return nil, nil }

// A protocol of one's own is opened with what it needs, listed and closed.
func TestProtocolFromOutside(t *testing.T) {
	var given protocol.Assembly
	opened, closed := 0, 0
	foreign := protocol.Protocol{
		Name: "echo", DefaultPort: 7, Dialect: "echoes", Kinds: []proxy.Kind{proxy.KindConnect, proxy.KindStatement},
		Open: func(a protocol.Assembly) (*protocol.Service, error) {
			given = a
			opened++
			return &protocol.Service{
				Handler: func(resource string) (proxy.Handler, error) { return echo{resource}, nil },
				Operation: func(_ context.Context, _ proxy.Target, text string) (proxy.Op, error) {
					return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: &proxy.Facts{Effects: proxy.EffectRead, Dialect: "echoes", Statements: 1}}, nil
				},
				Limiter: echo{},
				Close:   func() error { closed++; return nil },
			}, nil
		},
	}
	o := Defaults()
	o.Protocols = append(o.Protocols, foreign)
	f := parse(t, o, `
listen: {echo: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: `+verifier(t)+`}]}
resources:
  - {name: far, type: echo, address: far.internal, username: x, listen: "127.0.0.1:7007"}
  - {name: near, type: echo, address: near.internal, username: x}
access: [{groups: [dev], resources: [far], allow: [connect]}]
`)
	g, err := New(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Equal(t, 1, opened, "one service for all listeners")
	require.Equal(t, echo{}, g.listeners[protocol.Listener{Protocol: "echo", Address: "127.0.0.1:0"}].handler)
	require.Equal(t, echo{"far"}, g.listeners[protocol.Listener{Protocol: "echo", Address: "127.0.0.1:7007", Resource: "far"}].handler)
	require.Same(t, g.Proxy(), given.Gateway)
	require.Equal(t, Dir(f, "echo"), given.Dir)
	require.NoDirExists(t, given.Dir)
	require.NotNil(t, given.TLS)
	require.True(t, given.RequireTLS)
	require.Equal(t, f.Listeners(), given.Listeners())
	require.Len(t, given.Resources(), 2)
	far := given.Resources()[0]
	require.Equal(t, "far.internal:7", far.Address)
	require.True(t, given.May(&proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, proxy.Target{Resource: far, Account: far.Accounts[0]}))
	require.False(t, given.May(&proxy.Identity{Subject: "bob"}, proxy.Target{Resource: far, Account: far.Accounts[0]}))
	require.Contains(t, g.limiters(), "echoes")
	made := 0
	for range 2 {
		key, err := given.Keys("host", func() (crypto.PrivateKey, error) {
			made++
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		})
		require.NoError(t, err)
		require.IsType(t, ed25519.PrivateKey{}, key)
	}
	require.Equal(t, 1, made, "a key is kept")
	require.ErrorIs(t, g.sampler().Sample(t.Context(), &proxy.Session{Protocol: "echo"}, "", "t", nil), proxy.ErrNotFound)

	a, err := g.Explain(t.Context(), Question{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: far}, Text: "hello"})
	require.NoError(t, err)
	require.Equal(t, Deny, a.Outcome(), "nothing but connect is allowed")
	require.Equal(t, "policy", a.By)
	require.Equal(t, "hello", string(a.Op.(*proxy.Statement).Text))
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	require.Equal(t, 1, closed)
}

// parse reads a config file in a folder of its own.
func parse(t *testing.T, o config.Options, text string) *config.File {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	f, err := Load(file, o)
	require.NoError(t, err)
	return f
}

// verifier is a password's, in quotes.
func verifier(t testing.TB) string {
	t.Helper()
	v, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	return strconv.Quote(v)
}

// What cannot be opened stops the start, and what was opened before is closed.
func TestProtocolThatCannotBeOpened(t *testing.T) {
	failing := errors.New("the disk is full")
	closed := false
	for _, open := range []func(protocol.Assembly) (*protocol.Service, error){
		func(protocol.Assembly) (*protocol.Service, error) {
			return &protocol.Service{Handler: func(string) (proxy.Handler, error) { return nil, failing }, Close: func() error { closed = true; return nil }}, nil
		},
		func(protocol.Assembly) (*protocol.Service, error) { return nil, failing },
	} {
		o := Defaults()
		o.Protocols = []protocol.Protocol{{Name: "echo", Open: open}}
		_, err := New(parse(t, o, `{listen: {echo: "127.0.0.1:0"}, resources: []}`), Options{})
		require.ErrorIs(t, err, failing)
	}
	require.True(t, closed)
}
