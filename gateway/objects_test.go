package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/store"
)

// openPair opens two gateways on one store, whose file lets alice in and gives her nothing.
func openPair(t *testing.T, more string) (one, two *house, text string) {
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("DB_PASSWORD", server.Password)
	text = fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
store: {url: "postgres://postgres@%s/%s", password: "env:DB_PASSWORD", key: "env:STORE_KEY"}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
control: [{groups: ["local:ops"], allow: [configure]}]
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
%s`, server.Address(), database, verifier(t), server.Address(), database, more)
	return open(t, t.TempDir(), text), open(t, t.TempDir(), text), text
}

// change makes a revision at a gateway, as its API does.
func (h *house) change(t *testing.T, objects string, gone ...revision.Key) *revision.Revision {
	t.Helper()
	r, err := h.try(t, objects, gone...)
	require.NoError(t, err)
	require.NoError(t, h.useObjects(t.Context()))
	return r
}

func (h *house) try(t *testing.T, objects string, gone ...revision.Key) (*revision.Revision, error) {
	t.Helper()
	c := h.configuration()
	var p revision.Proposal
	if objects != "" {
		var err error
		if p, err = c.Read(t.Context(), "objects.yaml", objects); err != nil {
			return nil, err
		}
	}
	p.Delete, p.Author = gone, revision.Person{Subject: "ops"}
	return c.Keeper.Propose(t.Context(), p, func(*revision.Revision) error { return nil })
}

func rule(name string) revision.Key { return revision.Key{Kind: "access", Name: name} }

const readers = "access: [{name: readers, groups: [dev], allow: [connect, read]}]"

// uses waits until a gateway uses a revision.
func (h *house) uses(t *testing.T, number int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.applying.Lock()
		defer h.applying.Unlock()
		return h.objects.set.Current == number
	}, 30*time.Second, 5*time.Millisecond, h.log)
}

// TestObjects: what is changed at one gateway counts at the other one, in open sessions too, and after a restart.
func TestObjects(t *testing.T) {
	one, two, text := openPair(t, "objects: {approval: never}\n")
	reach := two.database("alice", "shop")
	_, err := pgconn.Connect(t.Context(), reach)
	require.Error(t, err, "nobody has allowed anything")

	r := one.change(t, readers)
	two.uses(t, r.Number)
	s := connect(t, reach)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	require.Contains(t, fmt.Sprint(s.query("INSERT INTO notes VALUES ('x')")), "error 42501")

	// More and less, in a session that is open.
	two.uses(t, one.change(t, strings.Replace(readers, "read]", "read, write]", 1)).Number)
	require.Empty(t, s.query("INSERT INTO notes VALUES ('x')"))
	two.uses(t, one.change(t, "guardrails: [{name: no-inserts, deny: {effects: [insert]}, message: 'not today'}]").Number)
	require.Contains(t, fmt.Sprint(s.query("INSERT INTO notes VALUES ('y')")), "not today")
	two.uses(t, one.change(t, "masking: [{name: texts, columns: [notes.text], with: redact}]").Number)
	require.NotContains(t, fmt.Sprint(s.query("SELECT text FROM notes")), "hello")

	// What cannot be used changes nothing.
	before := two.Proxy().Revision()
	for _, c := range []struct{ objects, says string }{
		{"access: [{name: broken, groups: [nobody], allow: [connect]}]", "the rule names group \"nobody\""},
		{"resources: [{name: x, type: postgres, address: 'h:1', username: a, password: 'env:DB_PASSWORD'}]", "leads to the gateway's own host"},
		{"resources: [{name: shop, type: postgres, address: 'h:1', username: a}]", "the config file has the resource shop"},
	} {
		_, err := one.try(t, c.objects)
		require.ErrorIs(t, err, revision.ErrInvalid)
		require.ErrorContains(t, err, c.says)
	}
	require.Same(t, before, two.Proxy().Revision())

	// A gateway that starts has them; a file that is read again keeps them.
	require.NoError(t, two.Reload())
	require.NotContains(t, fmt.Sprint(s.query("SELECT text FROM notes")), "hello")
	three := open(t, t.TempDir(), text)
	later := connect(t, three.database("alice", "shop"))
	require.NotContains(t, fmt.Sprint(later.query("SELECT text FROM notes")), "hello")

	// A user of the store.
	last := one.change(t, "identity: {users: [{name: eve, groups: [dev], password: "+verifier(t)+"}]}")
	two.uses(t, last.Number)
	eve := connect(t, two.database("eve", "shop"))
	gone := one.change(t, "", revision.Key{Kind: "user", Name: "eve"})
	two.uses(t, gone.Number)
	m, err := eve.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ErrorResponse{}, m)

	// The right goes, and the session with it, within a second or so.
	begun := time.Now()
	one.change(t, "", rule("readers"))
	m, err = s.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ErrorResponse{}, m)
	t.Logf("the session ended after %s: %s", time.Since(begun).Round(time.Millisecond), m.(*pgproto3.ErrorResponse).Message)
	_, err = pgconn.Connect(t.Context(), reach)
	require.Error(t, err)
}

// TestObjectsApproval: what weakens something waits.
func TestObjectsApproval(t *testing.T) {
	one, two, _ := openPair(t, "objects: {}\n")
	r := one.change(t, readers)
	require.Equal(t, revision.Waiting, r.State)
	_, err := pgconn.Connect(t.Context(), one.database("alice", "shop"))
	require.Error(t, err)
	_, err = two.configuration().Keeper.Decide(t.Context(), r.Number, true, revision.Person{Subject: "second"}, "", func(*revision.Revision) error { return nil })
	require.NoError(t, err)
	one.uses(t, r.Number)
	connect(t, one.database("alice", "shop"))
	needs := one.needs(revision.Change{Key: revision.Key{Kind: "resource", Name: "x"}, After: "{name: x, type: postgres, address: 'evil.example:1', username: a, password: 'env:DB_PASSWORD'}"})
	require.Contains(t, needs, `; env:DB_PASSWORD would be used at evil.example:1 for the account "a", where it is not used now`, "who approves is told")
	r = one.change(t, "guardrails: [{name: no-inserts, deny: {effects: [insert]}}]")
	require.Equal(t, revision.Applied, r.State, "what only adds a check does not")
}

// TestObjectsUnused: a revision that one gateway cannot use leaves it as it was; it tries again, and others use it.
func TestObjectsUnused(t *testing.T) {
	one, two, _ := openPair(t, "objects: {approval: never}\n")
	address := testserver.FreeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	objects := readers + fmt.Sprintf("\nresources: [{name: other, type: postgres, address: '127.0.0.1:1', username: a, listen: %q}]", address)
	taken, err := net.Listen("tcp", address)
	require.NoError(t, err)
	_, err = one.try(t, objects)
	require.ErrorIs(t, err, revision.ErrInvalid, "what this gateway cannot use is not kept: it would not start with it")
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, taken.Close())
	r, err := one.try(t, objects)
	require.NoError(t, err)
	if err := one.useObjects(t.Context()); err != nil { // the other one has heard of it sooner, and the address is its own
		require.ErrorContains(t, err, "address already in use")
		one, two = two, one
	}
	one.uses(t, r.Number)
	two.logs(t, "a revision of the configuration objects cannot be used")
	require.NotEqual(t, r.Number, two.objects.set.Current)
	_, err = pgconn.Connect(t.Context(), two.database("alice", "shop"))
	require.Error(t, err, "all of it is used, or nothing")
	connect(t, one.database("alice", "shop"))
	_, err = two.try(t, "guardrails: [{name: no-drop-at-all, deny: {effects: [drop]}}]")
	require.NoError(t, err, "what has nothing to do with it can be changed there all the same")
	require.NoError(t, two.Reload(), "the file can be read again meanwhile")
	require.NotEqual(t, r.Number, two.objects.set.Current)
	require.NoError(t, one.stop())
	require.NoError(t, two.Reload())
	two.uses(t, r.Number+1)
	connect(t, two.database("alice", "shop"))
	_, err = pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=alice password=%s sslmode=disable", host, port, password))
	require.Error(t, err)
}

// TestObjectsUnread: a store that cannot be read is an error to who follows it, also while a revision cannot be used.
func TestObjectsUnread(t *testing.T) {
	h := &house{dir: t.TempDir(), log: &lockedText{}}
	f := h.file(t, "listen: {postgres: \"127.0.0.1:0\"}\nidentity: {users: [{name: alice, groups: [dev], password: "+verifier(t)+"}]}\ncontrol: [{groups: [dev], allow: [configure]}]\nobjects: {}\n"+
		"access: [{name: later, groups: [dev], resources: [billing], allow: [connect]}]\n")
	g, err := New(f, Options{Log: slog.New(slog.NewTextHandler(h.log, nil))})
	require.NoError(t, err)
	defer func() { require.NoError(t, g.Close()) }()
	require.Contains(t, h.log.String(), `no resource is named \"billing\"`, "what a rule names and is not there is said at the start, too")
	g.objects.failed = &revision.Set{Current: 1}
	require.NoError(t, g.followObjects(t.Context()))
	g.objects.keeper.Store = silent{g.objects.keeper.Store}
	require.ErrorIs(t, g.followObjects(t.Context()), errSilent)
}

var errSilent = errors.New("the store does not answer")

// silent is a store that does not answer.
type silent struct{ store.Store }

func (silent) Get(context.Context, string, string) (store.Document, error) {
	return store.Document{}, errSilent
}

// TestObjectsShadowed: a file that takes over an object's name counts.
func TestObjectsShadowed(t *testing.T) {
	one, _, text := openPair(t, "objects: {approval: never}\n")
	one.change(t, readers)
	s := connect(t, one.database("alice", "shop"))
	require.NoError(t, os.WriteFile(filepath.Join(one.dir, filepath.Base(one.parts().config.Name())), []byte(text+"access: [{name: readers, groups: [dev], deny: [all]}]\n"), 0o600))
	require.NoError(t, one.Reload())
	m, err := s.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ErrorResponse{}, m)
	_, hidden := one.configuration().File()
	require.Equal(t, []revision.Key{rule("readers")}, hidden)
}

// TestObjectsMany: a hundred revisions leave nothing over.
func TestObjectsMany(t *testing.T) {
	dir := t.TempDir()
	server, database := testserver.Database(t, "")
	t.Setenv("DB_PASSWORD", server.Password)
	h := open(t, dir, fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
objects: {approval: never}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
control: [{groups: ["local:ops"], allow: [configure]}]
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
`, verifier(t), server.Address(), database))
	h.change(t, readers)
	s := connect(t, h.database("alice", "shop"))
	measure := func() (goroutines, files int) {
		runtime.GC()
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return runtime.NumGoroutine(), len(list)
	}
	round := func(i int) {
		h.change(t, fmt.Sprintf("guardrails: [{name: cap, deny: {more_statements_than: %d}}]\nmasking: [{name: m%d, columns: [a.b], with: redact}]", i+10, i%3))
	}
	for i := range 10 {
		round(i)
	}
	goroutines, files := measure()
	for i := range 100 {
		round(i)
		require.Equal(t, [][]string{{"1"}}, s.query("SELECT 1"))
	}
	require.Eventually(t, func() bool {
		g, f := measure()
		return g <= goroutines+3 && f <= files+3
	}, 30*time.Second, 50*time.Millisecond, "from %d goroutines and %d files", goroutines, files)
	set, err := h.objects.keeper.Load(context.Background())
	require.NoError(t, err)
	require.Len(t, set.Objects, 5)
	text, err := config.WriteObjects(set.Objects)
	require.NoError(t, err)
	r, err := h.try(t, string(text))
	require.NoError(t, err)
	require.Zero(t, r.Number, "what get prints is what is there")
}
