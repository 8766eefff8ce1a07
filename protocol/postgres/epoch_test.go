package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What names mean settles with the server's answers: what is on its way is not
// believed, and what a transaction sets is there when it has ended well.
func TestNamesSettle(t *testing.T) {
	statement := func(changes ...proxy.NameChange) *proxy.Statement {
		return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Statements: 1, Effects: proxy.EffectRead, Renames: changes}}
	}
	set := func(path string) *proxy.Statement {
		return statement(proxy.NameChange{Kind: proxy.NamePath, Value: path})
	}
	local := func(path string) *proxy.Statement {
		return statement(proxy.NameChange{Kind: proxy.NamePath, Value: path, Local: true})
	}
	one := func(kind proxy.NameChangeKind) *proxy.Statement { return statement(proxy.NameChange{Kind: kind}) }
	several := func(changes ...proxy.NameChange) *proxy.Statement {
		s := statement(changes...)
		s.Facts.Statements, s.Facts.Effects = 3, s.Facts.Effects|proxy.EffectTransaction
		return s
	}
	query := statement()
	object := statement(proxy.NameChange{Kind: proxy.NameObject, Value: "t"})
	object.Facts.Effects |= proxy.EffectAlter
	call := one(proxy.NameAnything)
	call.Facts.Effects |= proxy.EffectCall
	quiet := statement()
	quiet.Facts.Renames = []proxy.NameChange{} // it says that there are none
	quiet.Facts.Effects |= proxy.EffectCall
	commit, rollback, back := one(proxy.NameCommit), one(proxy.NameRollback), one(proxy.NameRollbackTo)
	reset := one(proxy.NamePathReset)

	type turn struct {
		ops    []*proxy.Statement
		failed bool // the last of them, and so all of them
		open   bool // a transaction, afterwards
		tag    string
	}
	in := func(ops ...*proxy.Statement) turn { return turn{ops: ops, open: true} }
	out := func(ops ...*proxy.Statement) turn { return turn{ops: ops} }
	fails := func(ops ...*proxy.Statement) turn { return turn{ops: ops, failed: true} }
	const lost = proxy.UnsureSchemas
	for _, c := range []struct {
		name   string
		turns  []turn
		path   string
		unsure proxy.Unsure
	}{
		{"alone", []turn{out(set("a"))}, "a", 0},
		{"another", []turn{out(set("a")), out(query), out(set("b"))}, "b", 0},
		{"failed", []turn{out(set("a")), fails(set("b"))}, "a", 0},
		{"in a batch", []turn{out(set("a")), out(set("b"), query)}, "b", 0},
		{"in a batch that fails", []turn{out(set("a")), fails(set("b"), query)}, "a", 0},
		{"twice in a batch", []turn{out(set("a"), set("b"))}, "b", 0},
		{"reset", []turn{out(set("a")), out(reset)}, "", 0},
		{"in a transaction", []turn{in(query), in(set("a"))}, "a", 0},
		{"committed", []turn{in(query), in(set("a")), out(commit)}, "a", 0},
		{"rolled back", []turn{out(set("b")), in(query), in(set("a")), out(rollback)}, "b", 0},
		{"committed in vain", []turn{out(set("b")), in(set("a")), {ops: []*proxy.Statement{query}, failed: true, open: true}, {ops: []*proxy.Statement{commit}, tag: "ROLLBACK"}}, "b", 0},
		{"a commit that fails", []turn{out(set("b")), in(set("a")), fails(commit)}, "b", 0},
		{"back to a savepoint", []turn{in(query), in(set("a")), in(back)}, "a", lost},
		{"back to a savepoint, of nothing", []turn{out(set("a")), in(query), in(back), out(commit)}, "a", 0},
		{"back to a savepoint, and back", []turn{out(set("b")), in(query), in(set("a")), in(back), out(rollback)}, "b", 0},
		{"back to a savepoint, and kept", []turn{in(query), in(set("a")), in(back), out(commit)}, "a", lost},
		{"local", []turn{out(set("b")), in(query), in(local("a"))}, "a", 0},
		{"local, committed", []turn{out(set("b")), in(local("a")), out(commit)}, "b", 0},
		{"local, back to a savepoint, committed", []turn{out(set("b")), in(local("a")), in(back), out(commit)}, "b", 0},
		{"local outside", []turn{out(set("b")), out(local("a"))}, "b", 0},
		{"all in a text", []turn{out(several(proxy.NameChange{Kind: proxy.NamePath, Value: "a", Local: true}, proxy.NameChange{Kind: proxy.NameCommit}))}, "", 0},
		{"all in a text, kept", []turn{out(several(proxy.NameChange{Kind: proxy.NamePath, Value: "a"}, proxy.NameChange{Kind: proxy.NameCommit}))}, "a", lost},
		{"a call", []turn{out(set("a")), out(call)}, "a", proxy.UnsureAnything &^ (proxy.UnsureObjects | proxy.UnsureCursors)},
		{"a call, open", []turn{in(call)}, "", proxy.UnsureAnything},
		{"a call, rolled back", []turn{in(query), in(call), out(rollback)}, "", 0},
		{"a call that fails", []turn{fails(call)}, "", proxy.UnsureAnything &^ (proxy.UnsureObjects | proxy.UnsureCursors)},
		{"a quiet call", []turn{out(quiet)}, "", 0},
		{"a call, everything discarded", []turn{out(call), out(statement(proxy.NameChange{Kind: proxy.NameUserReset}, proxy.NameChange{Kind: proxy.NamePathReset}, proxy.NameChange{Kind: proxy.NameNoTemporary}))}, "", 0},
		{"a role", []turn{out(one(proxy.NameRole))}, "", proxy.UnsureRole},
		{"a role, back", []turn{out(one(proxy.NameRole)), out(one(proxy.NameRoleReset))}, "", 0},
		{"a local role", []turn{in(statement(proxy.NameChange{Kind: proxy.NameRole, Local: true})), out(commit)}, "", 0},
		{"a change, open", []turn{in(object)}, "", 0},
		{"a change", []turn{in(object), out(commit)}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e epoch
			var s settling
			for _, turn := range c.turns {
				moves := false
				for _, op := range turn.ops {
					e.sent(op.Facts)
					for _, r := range op.Facts.Renames {
						moves = moves || r.Kind == proxy.NamePath
					}
				}
				if moves {
					n := e.state(false)
					require.NotZero(t, n.Unsure&proxy.UnsureSchemas, "what is on its way is believed")
				}
				for i, op := range turn.ops {
					s.answered(&e, op, &proxy.Outcome{Tag: turn.tag}, !turn.failed || i < len(turn.ops)-1)
				}
				s.failed = turn.failed
				s.ready(&e, turn.open)
				if !turn.open {
					s.settled(&e, nil, nil)
				}
			}
			n := e.state(false)
			require.Equal(t, c.path, n.Path)
			require.Equal(t, c.unsure, n.Unsure)
			require.Empty(t, e.flying)
			require.Equal(t, c.name == "a change, open", len(n.Changed) == 1)
		})
	}
}

// The path at login stays the session's when the role is given another.
func TestPathAtLoginStays(t *testing.T) {
	var e epoch
	e.stay("pg_catalog, public")
	n := e.state(false)
	require.Equal(t, "pg_catalog, public", n.SearchPath())
	require.Zero(t, n.Unsure)

	var odd epoch
	odd.stay(`pg_catalog, Odd Name`)
	n = odd.state(false)
	require.Equal(t, proxy.UnsureLogin|proxy.UnsurePath, n.Unsure)
	set := &proxy.Facts{Statements: 1, Renames: []proxy.NameChange{{Kind: proxy.NamePath, Value: "a"}, {Kind: proxy.NamePathReset}}}
	odd.sent(set)
	odd.landed(set, true, true)
	n = odd.state(false)
	require.NotZero(t, n.Unsure&proxy.UnsurePath, "a reset goes back to what is not known")
}
