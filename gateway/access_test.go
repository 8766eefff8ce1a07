package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

const accessConfig = `
listen: {postgres: "0.0.0.0:5432", ssh: "gw.example.com:2222"}
identity:
  users: [{name: alice, groups: [staff], password: "SCRAM-SHA-256$4096:A4mJxRhyTu52s0AO7UrrZg==$idfRBWXKrr+iqYxx/IdIfowIwBw0O9LFusRJeKthw8c=:69iP9tjOBiQ2jwg+5Q8oPQn01Vw5HKhrVuPrHwKbpUU="}]
resources:
  - name: orders
    type: postgres
    address: db:5432
    database: shop
    labels: {env: prod}
    accounts:
      - {name: reader, username: reader, password: "env:READER"}
      - {name: owner, username: owner, password: "env:OWNER"}
  - name: alone
    type: postgres
    address: db:5432
    listen: "127.0.0.1:6432"
    accounts: [{name: app, username: app, password: "env:APP"}]
  - name: vm
    type: ssh
    address: vm:22
    trust_on_first_use: true
    accounts: [{name: app, username: app, password: "env:APP"}]
  - name: secret
    type: postgres
    address: db:5432
    accounts: [{name: app, username: app, password: "env:APP"}]
access:
  - {name: readers, groups: [staff], resources: [orders], accounts: [reader], allow: [connect, read]}
  - {name: rest, groups: [staff], resources: [alone, vm], allow: [all]}
`

// openAccess returns what answers the API by a config file.
func openAccess(t *testing.T) access {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(accessConfig), 0o600))
	for _, name := range []string{"READER", "OWNER", "APP"} {
		t.Setenv(name, "x")
	}
	f, err := Load(file, config.Options{})
	require.NoError(t, err)
	x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return access{x}
}

// TestAccessResources: one sees what one may connect to, where it is, and what to log in as.
func TestAccessResources(t *testing.T) {
	x := openAccess(t)
	list, err := x.Resources(t.Context(), &proxy.Identity{Subject: "entra/7f", Name: "alice", Groups: []string{"staff"}})
	require.NoError(t, err)
	require.Equal(t, []control.Resource{
		{Name: "alone", Type: "postgres", Address: "127.0.0.1:6432", User: "alice", TLS: true},
		{Name: "orders", Type: "postgres", Address: "0.0.0.0:5432", User: "alice+orders", Database: "shop", Accounts: []string{"reader"}, Labels: map[string]string{"env": "prod"}, TLS: true},
		{Name: "vm", Type: "ssh", Address: "gw.example.com:2222", User: "alice+vm"},
	}, list)
	list, err = x.Resources(t.Context(), &proxy.Identity{Subject: "mallory"})
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestAccessCan: the answers are those that a session would get, and nothing is done.
func TestAccessCan(t *testing.T) {
	x := openAccess(t)
	alice := &proxy.Identity{Subject: "entra/7f", Name: "alice", Groups: []string{"staff"}}
	for _, c := range []struct {
		q    control.Question
		want string
	}{
		{control.Question{Resource: "orders", Account: "reader"}, "allow"},
		{control.Question{Resource: "orders", Account: "owner"}, "deny"},
		{control.Question{Resource: "orders", Account: "reader", Text: "SELECT 1"}, "allow"},
		{control.Question{Resource: "orders", Account: "reader", Text: "DELETE FROM items WHERE id = 1"}, "deny"},
		{control.Question{Resource: "vm", Text: "ls"}, "allow"},
		{control.Question{Resource: "secret", Text: "SELECT 1"}, "deny"},
	} {
		a, err := x.Can(t.Context(), alice, c.q)
		require.NoError(t, err)
		require.Equal(t, c.want, a.Outcome, "%+v: %+v", c.q, a)
		require.Equal(t, c.want == "deny", a.Message != "", "%+v: %+v", c.q, a)
	}
	for _, q := range []control.Question{{Resource: "nothing"}, {Resource: "orders", Account: "nobody"}} {
		_, err := x.Can(t.Context(), alice, q)
		require.ErrorIs(t, err, proxy.ErrNotFound)
	}
}
