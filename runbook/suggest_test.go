package runbook

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

const suggesting = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: suggesting}
targets: {db: {types: [postgres]}}
params:
  name: {type: string, values_from: {sql: "select name, title from things"}}
  other: {type: string}
steps:
  - {id: a, sql: {text: "select $name"}}
`

// asked is a gate whose databases answer with rows, and count the questions of each person.
type asked struct {
	testGate
	rows  [][]string
	seen  map[string][]string
	block chan struct{}
}

func (g *asked) Database(_ context.Context, who *proxy.Identity, _ Resource) (Database, error) {
	return askedDatabase{testDatabase{&g.testGate}, g, who.Subject}, nil
}

type askedDatabase struct {
	testDatabase
	gate *asked
	who  string
}

func (d askedDatabase) Execute(ctx context.Context, text string, args []Arg, limit int64, keep int) (Result, error) {
	d.gate.seen[d.who] = append(d.gate.seen[d.who], text)
	if !strings.HasPrefix(text, "select") {
		return Result{}, nil
	}
	if d.gate.block != nil {
		<-d.gate.block
	}
	r := Result{Rows: int64(len(d.gate.rows)), Kept: d.gate.rows[:min(keep, len(d.gate.rows))]}
	if limit > 0 && r.Rows > limit {
		return r, &StatementError{Message: "more rows"}
	}
	return r, nil
}

// Values are suggested by a query that changes nothing, for each person by herself, and no more than a form can show.
func TestSuggest(t *testing.T) {
	b, err := Parse([]byte(suggesting))
	require.NoError(t, err)
	g := &asked{seen: make(map[string][]string), rows: [][]string{{"one", "The first"}, {"t\x1bwo"}, {strings.Repeat("x", maxSuggestion+1)}, {"three"}}}
	now := time.Now()
	r := &Runner{Store: store.NewMemory(), Gate: g, Log: quiet, Now: func() time.Time { return now }}
	require.NoError(t, Open(t.Context(), r))
	ask := func(who, param, at string) (*Suggestions, error) {
		return r.Suggest(t.Context(), &proxy.Identity{Subject: who}, b, Origin{Source: "x"}, param, at, places3)
	}
	db := ""
	for _, p := range places3 {
		if p.Type == "postgres" {
			db = p.Name
		}
	}
	got, err := ask("alice", "name", db)
	require.NoError(t, err)
	require.Equal(t, &Suggestions{Values: []Suggestion{{"one", "The first"}, {"three", ""}}, More: true}, got, "what cannot be chosen is left out")
	want := []string{"START TRANSACTION READ ONLY", "select name, title from things"}
	require.Equal(t, want, g.seen["alice"])
	_, err = ask("alice", "name", db)
	require.NoError(t, err)
	require.Equal(t, want, g.seen["alice"], "it is kept for her")
	_, err = ask("bob", "name", db)
	require.NoError(t, err)
	require.Equal(t, want, g.seen["bob"], "what alice was shown is not for bob")
	now = now.Add(suggestFor)
	_, err = ask("alice", "name", db)
	require.NoError(t, err)
	require.Equal(t, append(want, want...), g.seen["alice"], "it is asked again")

	_, err = ask("alice", "other", db)
	require.ErrorIs(t, err, ErrNoSuggestions)
	_, err = ask("alice", "name", "elsewhere")
	require.ErrorContains(t, err, "you may not connect")

	now = now.Add(suggestFor)
	g.rows = nil
	for i := range 3 * MaxSuggestions {
		g.rows = append(g.rows, []string{fmt.Sprint(i)})
	}
	got, err = ask("alice", "name", db)
	require.NoError(t, err)
	require.True(t, got.More)
	require.Len(t, got.Values, MaxSuggestions)
	require.NoError(t, r.Close())
}

// One person asks a few queries at once, and no more.
func TestSuggestAtOnce(t *testing.T) {
	s := &suggestions{}
	for i := range maxSuggesting {
		_, err := s.begin(fmt.Sprint(i), "alice", time.Now())
		require.NoError(t, err)
	}
	_, err := s.begin("x", "alice", time.Now())
	require.ErrorIs(t, err, ErrTooMany)
	_, err = s.begin("x", "bob", time.Now())
	require.NoError(t, err)
	s.end("alice")
	_, err = s.begin("x", "alice", time.Now())
	require.NoError(t, err)
	for i := range 2 * maxKeptLists {
		s.keep(fmt.Sprint(i), &Suggestions{}, time.Now())
	}
	require.LessOrEqual(t, len(s.kept), maxKeptLists)
}

// A query that takes values, or does more than to read, is refused with its line.
func TestLintValuesFrom(t *testing.T) {
	for sql, want := range map[string]string{
		"select name from things where x = $other":            "none is known",
		"delete from things":                                  "more than to read",
		"select name into outfile '/tmp/x' from things":       "more than to read",
		"explain analyze delete from things":                  "more than to read",
		"select 1; select 2":                                  "several statements",
		"with x as (delete from things returning 1) select 1": "more than to read",
	} {
		_, err := Parse([]byte(strings.Replace(suggesting, "select name, title from things", sql, 1)))
		require.ErrorContains(t, err, want, sql)
		require.ErrorContains(t, err, "params.name.values_from", sql)
	}
	_, err := Parse([]byte(strings.Replace(suggesting, "{type: string, values_from", "{type: text, values_from", 1)))
	require.ErrorContains(t, err, "for parameters of the types")
}
