package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/proxy"
)

func TestIdentity(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	name := filepath.Join(t.TempDir(), "issuer")
	require.NoError(t, run([]string{"keys", name}, nil))
	private, err := readKey(name+".key", ed25519.PrivateKeySize)
	require.NoError(t, err)
	public, err := readKey(name+".pub", ed25519.PublicKeySize)
	require.NoError(t, err)
	_, err = readKey(name+".pub", ed25519.PrivateKeySize)
	require.ErrorContains(t, err, "want 64 bytes in base64")

	file := exampletest.Config(t, exampletest.Shop(t, ""), "env:DB_PASSWORD", "corp:dba")
	g, _ := exampletest.Serve(t, file, names(), options(public))
	address := g.Addr("postgres", "").String()
	token := func(c claims) string {
		text, err := issue(private, c)
		require.NoError(t, err)
		return text
	}
	soon := time.Now().Add(time.Minute)
	_, foreign, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	forged, err := issue(foreign, claims{User: "carol", Groups: []string{"dba"}, Expires: soon})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, run([]string{"token", name + ".key", "carol", "dba"}, &out))
	good := strings.TrimSpace(out.String())

	for _, c := range []struct {
		name, user, password, params, want string
	}{
		{"a token", "carol", good, "sslmode=require", "1"},
		{"a local user", "alice", "secret", "sslmode=require", "1"},
		{"another user's token", "alice", good, "sslmode=require", "authentication failed"},
		{"another issuer's token", "carol", forged, "sslmode=require", "authentication failed"},
		{"a token that is over", "carol", token(claims{User: "carol", Groups: []string{"dba"}, Expires: time.Now().Add(-time.Second)}), "sslmode=require", "authentication failed"},
		{"a token that is good for ever", "carol", token(claims{User: "carol", Groups: []string{"dba"}, Expires: soon.AddDate(1, 0, 0)}), "sslmode=require", "authentication failed"},
		{"a token that was changed", "carol", strings.Replace(good, prefix, prefix+"A", 1), "sslmode=require", "authentication failed"},
		{"a group that no rule names", "dave", token(claims{User: "dave", Groups: []string{"dev"}, Expires: soon}), "sslmode=require", "or you may not use it"},
		{"without TLS", "carol", good, "sslmode=disable", "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := exampletest.Psql(t, address, c.password, "user="+c.user+"+shop "+c.params, "SELECT 1")
			require.Contains(t, out, c.want)
			require.NotContains(t, out, c.password)
			require.Equal(t, c.want == "1", out == "1", out)
		})
	}
}

// Who holds a token is not the local user of that name, and the session ends with
// the token.
func TestAuthenticate(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	now := time.Now()
	a := &tokens{key: public, now: func() time.Time { return now }}
	text, err := issue(private, claims{User: "alice", Groups: []string{"dev"}, Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	id, err := a.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(text)})
	require.NoError(t, err)
	require.Equal(t, "corp/alice", id.Subject)
	require.Equal(t, []string{"corp:dev"}, id.Groups)
	require.WithinDuration(t, now.Add(time.Hour), id.Expires, 0)

	text, err = issue(private, claims{User: "a+b", Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	_, err = a.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "a+b", Password: proxy.NewSecret(text)})
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
}

func TestUsage(t *testing.T) {
	require.ErrorContains(t, run(nil, nil), "usage")
	require.ErrorIs(t, run([]string{"serve", "none.yaml", filepath.Join(t.TempDir(), "none")}, nil), os.ErrNotExist)
}
