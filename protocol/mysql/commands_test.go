package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// A user ends what she runs, by the number that the server knows and by the one that her
// client was told; nobody else's.
func TestKill(t *testing.T) {
	h := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && st.Facts.Effects.Has(proxy.EffectMaintain) {
			return proxy.Deny(proxy.CausePolicy, "", "no administration", "")
		}
		return proxy.Pass()
	}}}
	g := startGate(t, gateConfig{chain: chain(h)})
	a, b := g.open(t), g.open(t)
	id := texts(t, a, "SELECT CONNECTION_ID()")[0][0]
	for _, kill := range []string{"KILL QUERY ", "kill /*!50000 QUERY */ "} {
		ended := make(chan error, 1)
		go func() {
			_, err := a.ExecContext(context.Background(), "SELECT SLEEP(60)")
			ended <- err
		}()
		require.Eventually(t, func() bool {
			out, err := g.maria.Run("", "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%' AND id="+id)
			return err == nil && out == "1"
		}, 10*time.Second, 10*time.Millisecond)
		_, err := b.ExecContext(context.Background(), kill+id)
		require.NoError(t, err)
		select {
		case err := <-ended:
			require.ErrorContains(t, err, "1317")
		case <-time.After(20 * time.Second):
			t.Fatal("it runs on")
		}
	}
	// By the number that the client was told: what Ctrl-C of the command line sends.
	var told uint32
	sessions := &g.handler.shared.sessions
	sessions.mu.Lock()
	for number, s := range sessions.told {
		if s != nil && fmt.Sprint(s.upstream.greeting.ID) == id {
			told = number
		}
	}
	sessions.mu.Unlock()
	require.NotZero(t, told)
	_, err := b.ExecContext(context.Background(), fmt.Sprintf("KILL %d", told))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return a.PingContext(context.Background()) != nil }, 10*time.Second, 10*time.Millisecond)

	other, err := g.maria.Run("", "SELECT CONNECTION_ID()")
	require.NoError(t, err)
	_, err = b.ExecContext(context.Background(), "KILL "+other)
	require.ErrorContains(t, err, "no administration")
	_, err = b.ExecContext(context.Background(), "KILL 1073741829")
	require.ErrorContains(t, err, "1094")
	require.NoError(t, b.PingContext(context.Background()))
}

// What waits for an approval is given up by its user.
func TestKillOfWhatIsHeld(t *testing.T) {
	h := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && strings.Contains(string(st.Text), "held") {
			return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"r"}, Approvers: [][]string{{"*"}}, For: time.Minute}}
		}
		return proxy.Pass()
	}}}
	r := &reviewer{asked: make(chan string, 4)}
	g := startGate(t, gateConfig{chain: chain(h), gateway: func(g *proxy.Gateway) { g.Reviewer = r }})
	a, b := g.open(t), g.open(t)
	id := texts(t, a, "SELECT CONNECTION_ID()")[0][0]
	ended := make(chan error, 1)
	go func() {
		_, err := a.ExecContext(context.Background(), "SELECT 'held'")
		ended <- err
	}()
	require.Equal(t, "SELECT 'held'", <-r.asked)
	_, err := b.ExecContext(context.Background(), "KILL QUERY "+id)
	require.NoError(t, err)
	require.ErrorContains(t, <-ended, "1142")
	require.NoError(t, a.PingContext(context.Background()))
}

// reviewer holds until it is cancelled, or approves.
type reviewer struct {
	asked   chan string
	approve bool
}

func (r *reviewer) Request(_ context.Context, _ *proxy.Session, op proxy.Op, _ *proxy.Hold) (*proxy.Pending, error) {
	text := string(op.(*proxy.Statement).Text)
	return &proxy.Pending{ID: "R1", Message: "this waits for an approval", Wait: func(ctx context.Context) proxy.Verdict {
		r.asked <- text
		if r.approve {
			return proxy.Verdict{Action: proxy.ActionAllow, Grant: "R1"}
		}
		<-ctx.Done()
		return proxy.Deny(proxy.CauseDenied, "", "it was given up", "")
	}}, nil
}

// What waits for an approval runs with it, and MariaDB's clients are told what they wait for.
func TestHeldStatementRuns(t *testing.T) {
	h := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && strings.Contains(string(st.Text), "held") {
			return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"r"}, Approvers: [][]string{{"*"}}, For: time.Minute}}
		}
		return proxy.Pass()
	}}}
	r := &reviewer{asked: make(chan string, 4), approve: true}
	g := startGate(t, gateConfig{chain: chain(h), gateway: func(g *proxy.Gateway) { g.Reviewer = r }})
	c := g.open(t)
	require.Equal(t, [][]string{{"held"}}, texts(t, c, "SELECT 'held'"))
	require.Equal(t, [][]string{{"held", "5"}}, texts(t, c, "SELECT 'held', ?", 5))
	require.Equal(t, "SELECT 'held'", <-r.asked)
	require.Equal(t, "SELECT 'held', ?", <-r.asked)

	raw := g.dial(t, wire.DeprecateEOF)
	raw.caps &^= wire.Progress
	values, err := raw.query("SELECT 'held'")
	require.NoError(t, err)
	require.Equal(t, []string{"held"}, values)
}

func TestReadOnly(t *testing.T) {
	g := startGate(t, gateConfig{sql: people, settings: Settings{ReadOnly: true}})
	c := g.open(t)
	require.Len(t, texts(t, c, "SELECT id FROM people"), 2)
	for text, want := range map[string]string{
		"UPDATE people SET name = 'x'": "1792", "CREATE TABLE x (a INT)": "1792", "SET SESSION TRANSACTION READ WRITE": "read only", "START TRANSACTION READ WRITE": "read only",
		"SET tx_read_only = 0": "read only", "SET @@session.tx_read_only = OFF": "read only", "EXECUTE IMMEDIATE 'SET tx_read_only = 0'": "read only",
		"PREPARE s FROM 'SET tx_read_only = 0'": "read only", "SET /* x */ SESSION TRANSACTION READ /* y */ WRITE": "read only",
		"SET STATEMENT tx_read_only = 0 FOR UPDATE people SET name = 'x'": "read only", "BEGIN NOT ATOMIC SET tx_read_only = 0; END": "read only",
	} {
		_, err := c.ExecContext(context.Background(), text)
		require.ErrorContains(t, err, want, text)
	}
	require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT COUNT(*) FROM people WHERE name = 'x'"))
}

// What the gateway does not speak is not offered, and is not agreed on with who asks for it all the
// same: packets, texts and rows stay as they are.
func TestWhatIsNotAgreedOn(t *testing.T) {
	const more = wire.Compress | wire.Zstd | wire.QueryAttributes | wire.OptionalMetadata | wire.MultiFactor
	g := startGate(t, gateConfig{sql: people})
	r := g.dial(t, more)
	require.Zero(t, r.caps&more, "offered: %s", r.caps&more)
	values, err := r.query("SELECT name FROM " + g.db + ".people WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, []string{"Ann"}, values)
	require.NoError(t, r.send(wire.StmtBulkExecute, 1, 0, 0, 0, 0x80, 0))
	_, err = r.read()
	require.ErrorContains(t, err, "1047 08S01")
	values, err = r.query("SELECT 5")
	require.NoError(t, err)
	require.Equal(t, []string{"5"}, values)
	// And MariaDB's client does without.
	out, err := g.mariadb(t, "mariadb", "SELECT name FROM people WHERE id = 1;\n", "-N", "--compress", g.db)
	require.NoError(t, err, out)
	require.Contains(t, out, "Ann")
}
