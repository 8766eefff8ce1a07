package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
)

func TestPrograms(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	file := exampletest.Config(t, exampletest.Shop(t, "CREATE TABLE t (n int)"), "env:DB_PASSWORD", group)
	programs := &tokens.Tokens{Documents: &identity.Memory{}}
	var out, elsewhere bytes.Buffer
	require.NoError(t, issue(t.Context(), programs, "report", "shop", &out))
	require.NoError(t, issue(t.Context(), programs, "report", "payroll", &elsewhere))
	g, _ := exampletest.Serve(t, file, names("report"), options(programs))
	address := g.Addr("postgres", "").String()
	login, secret, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	other, otherSecret, _ := strings.Cut(strings.TrimSpace(elsewhere.String()), " ")

	for _, c := range []struct {
		name, user, password, params, statement, want string
	}{
		{"reads", login, secret, "sslmode=require", "SELECT count(*) FROM t", "0"},
		{"writes", login, secret, "sslmode=require", "INSERT INTO t VALUES (1)", "token"},
		{"another's secret", login, otherSecret, "sslmode=require", "SELECT 1", "authentication failed"},
		{"a token for elsewhere", other, otherSecret, "sslmode=require", "SELECT 1", "or you may not use it"},
		{"another user's name", strings.Replace(login, "report", "alice", 1), secret, "sslmode=require", "SELECT 1", "authentication failed"},
		{"a token that does not exist", "report~aaaaaaaaaaaaaaaa", secret, "sslmode=require", "SELECT 1", "authentication failed"},
		{"a local user", "alice", "secret", "sslmode=require", "SELECT count(*) FROM t", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := exampletest.Psql(t, address, c.password, "user="+c.user+"+shop "+c.params, c.statement)
			require.Contains(t, got, c.want)
			require.NotContains(t, got, c.password)
		})
	}
	_, id, _ := strings.Cut(login, tokens.Separator)
	require.NoError(t, programs.Revoke(t.Context(), id))
	require.Contains(t, exampletest.Psql(t, address, secret, "user="+login+"+shop sslmode=require", "SELECT 1"), "authentication failed")
	require.ErrorContains(t, run(t.Context(), nil, nil), "usage")
}
