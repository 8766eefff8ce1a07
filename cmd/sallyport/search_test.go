package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// Sessions of real clients are found by what they were, while the gateway runs and
// after, by the index and without it, and an erased one is not.
func TestSessionsSearch(t *testing.T) {
	o := openOffice(t, `
control: [{users: ["`+control.Self()+`"], allow: [erase]}]
masking: [{columns: ["*.people.email"], with: redact}]
`)
	o.psql(t, "bob", "-c", "CREATE TABLE people (id int, email text)", "-c", "INSERT INTO people VALUES (1, 'ann@example.com')")
	o.psql(t, "alice", "-c", "SELECT email FROM people")
	require.Contains(t, o.psql(t, "alice", "-c", "DELETE FROM people"), "you may not")
	find := func(args ...string) (users []string) {
		t.Helper()
		for _, s := range decode[listed[summary]](t, must(t, append([]string{"sessions", "search", "-c", o.config, "-o", "json"}, args...)...)).Items {
			users = append(users, s.User+strings.Repeat("!", s.Refused))
		}
		return users
	}
	check := func(t *testing.T) {
		for _, c := range []struct {
			name string
			args []string
			want []string
		}{
			{"a user", []string{"-u", "bob"}, []string{"bob"}},
			{"a group", []string{"-g", "dev"}, []string{"bob", "alice", "alice!"}},
			{"a table", []string{"--table", "public.people"}, []string{"bob", "alice", "alice!"}},
			{"a verdict", []string{"--verdict", "deny"}, []string{"alice!"}},
			{"an effect", []string{"--effect", "insert", "--since", "1h"}, []string{"bob"}},
			{"a rule", []string{"--rule", "dev-reads"}, []string{"bob", "alice", "alice!"}},
			{"a masked type", []string{"--masked", "email_address"}, []string{"alice"}},
			{"words", []string{"INSERT", "values"}, []string{"bob"}},
			{"a phrase", []string{"email from people"}, []string{"alice"}},
			{"what was never asked", []string{"ann@example.org"}, nil},
			{"the newest", []string{"--limit", "1"}, []string{"alice!"}},
		} {
			t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, find(c.args...)) })
		}
	}
	require.Eventually(t, func() bool { return len(find("people")) == 3 }, 20*time.Second, 50*time.Millisecond)
	check(t)
	segments := filepath.Join(o.dir, "data", "audit", "index", "*.seg")
	require.Eventually(t, func() bool { found, _ := filepath.Glob(segments); return len(found) > 0 }, 20*time.Second, 50*time.Millisecond, "the gateway indexes")
	require.Contains(t, must(t, "sessions", "reindex", "-c", o.config), "sealed records are indexed")
	check(t)

	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "--text", "insert into")).Items
	require.Len(t, list, 1)
	must(t, "sessions", "erase", "-c", o.config, "--reason", "asked for", list[0].ID)
	require.Empty(t, find("INSERT"))
	o.stop(t)
	require.Empty(t, find("INSERT"))
	require.Equal(t, []string{"alice", "alice!"}, find("people"))

	found, err := filepath.Glob(segments)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(found[0], []byte("altered"), 0o600))
	code, out, errs := sallyport(t, "", "sessions", "search", "-c", o.config, "people")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "damaged")
	require.Equal(t, 2, strings.Count(out, "alice"))
	require.Equal(t, out, must(t, "sessions", "search", "people", "-c", o.config, "-u", "alice"), "flags can come after the texts")
	require.NotContains(t, must(t, "sessions", "search", "-c", o.config, "--", "people", "-u"), "alice", "what comes after -- is text")
}
