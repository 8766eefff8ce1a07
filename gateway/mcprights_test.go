package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
)

// with replaces one rule of the file by another, and returns the file.
func (a *mcpRig) with(t *testing.T, old, rule string) *config.File {
	t.Helper()
	text := a.text(t, true)
	require.Contains(t, text, old)
	return a.file(t, strings.Replace(text, old, rule, 1))
}

const workRule = "  - {name: work, groups: [dev], resources: [shop], allow: [connect, read, write]}\n"

// TestMCPNoMoreThanItsHuman: a rule about agents alone gives an agent no more than its human has, in a revision that comes in the middle
// of a call, too: the call ends within a second.
func TestMCPNoMoreThanItsHuman(t *testing.T) {
	a := openMCP(t)
	const wide = "  - {name: agents, groups: [dev], kinds: [agent], resources: [shop, vault], allow: [all]}\n"
	require.NoError(t, a.Apply(a.with(t, workRule, wide+"  - {name: work, groups: [dev], resources: [shop], allow: [connect, read]}\n")))
	s := a.agent(t, a.token(t, "alice").Secret)
	require.Equal(t, "ok", call(t, s, "query", stmt("SELECT 1")).Status)
	for _, text := range []string{"UPDATE people SET name = 'x' WHERE id = 1", "DROP TABLE people", "CREATE TABLE t (a int)", "not SQL at all"} {
		got := call(t, s, "query", stmt(text))
		require.Equal(t, []string{"denied", "policy"}, []string{got.Status, got.Cause}, "%s: %+v", text, got)
	}
	require.Contains(t, []string{"pending", "denied"}, call(t, s, "query", map[string]any{"resource": "vault", "sql": "SELECT 1"}).Status, "she has to ask for that")

	answers := make(chan *toolAnswer, 1)
	go func() { answers <- call(t, s, "query", stmt("SELECT count(*) FROM generate_series(1, 100000000000)")) }()
	session := a.session(t, "alice~coder", "shop")
	require.Eventually(t, func() bool { n, _ := session.Operations(); return n > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, a.Apply(a.with(t, workRule, wide+"  - {name: work, users: [bob], resources: [shop], allow: [connect, read]}\n")))
	begun := time.Now()
	select {
	case got := <-answers:
		require.NotEqual(t, "ok", got.Status)
		require.Less(t, time.Since(begun), time.Second)
	case <-time.After(20 * time.Second):
		t.Fatal("the call goes on")
	}
	got := call(t, s, "query", stmt("SELECT 1"))
	require.Equal(t, "denied", got.Status, got)

	require.NoError(t, a.Apply(a.with(t, workRule, "  - {name: agents, groups: [dev], kinds: [agent], resources: [shop], allow: [connect, read]}\n"+
		"  - {name: work, groups: [dev], kinds: [human], resources: [shop], allow: [all]}\n")))
	require.Equal(t, "ok", call(t, s, "query", stmt("SELECT 1")).Status, "what both may")
	require.Equal(t, "denied", call(t, s, "query", stmt("TRUNCATE people")).Status, "what she alone may")
}

// TestMCPBudget: two agents of one human and she herself use one budget.
func TestMCPBudget(t *testing.T) {
	a := openMCP(t)
	require.NoError(t, a.Apply(a.with(t, workRule, strings.Replace(workRule, "allow:", "budget: {rows: 4, per: 24h}, allow:", 1))))
	one, two := a.agent(t, a.token(t, "alice").Secret), a.agent(t, a.tokenOf(t, "alice", "writer").Secret)
	require.Equal(t, "ok", call(t, one, "query", stmt("SELECT id FROM people")).Status)
	require.Equal(t, "ok", call(t, two, "query", stmt("SELECT id FROM people")).Status)
	for name, s := range map[string]func() string{
		"the first": func() string { return call(t, one, "query", stmt("SELECT id FROM people")).Why }, "the second": func() string { return call(t, two, "query", stmt("SELECT id FROM people")).Why },
		"she herself": func() string {
			native, err := pgconn.Connect(t.Context(), a.database("alice", "shop"))
			require.NoError(t, err)
			defer native.Close(context.Background())
			_, err = native.Exec(t.Context(), "SELECT id FROM people").ReadAll()
			require.Error(t, err)
			return err.Error()
		},
	} {
		require.Contains(t, s(), "you have used your budget of 4 rows per", name)
	}
	require.Equal(t, "ok", call(t, a.agent(t, a.token(t, "bob").Secret), "query", stmt("SELECT id FROM people")).Status, "bob's own is not used")
}
