package secrets

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Ref{
		"env:NAME":                       {Scheme: "env", Path: "NAME"},
		"file:/etc/a b.json#db.password": {Scheme: "file", Path: "/etc/a b.json", Key: "db.password"},
		"vault:secret/app#p?version=3":   {Scheme: "vault", Path: "secret/app", Key: "p", Options: map[string][]string{"version": {"3"}}},
		"vault:secret/app?version=3":     {Scheme: "vault", Path: "secret/app", Options: map[string][]string{"version": {"3"}}},
		"file:/a%23b%3Fc%25#k%23":        {Scheme: "file", Path: "/a#b?c%", Key: "k#"},
		"rds-iam:h.example:5432/app":     {Scheme: "rds-iam", Path: "h.example:5432/app"},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		again, err := Parse(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, text := range []string{
		"", "hunter2", ":x", "env:", "ENV:x", "e nv:x", "env:x#", "env:#k", "env:a#b#c", "env:a?b#c", "env:a%zz", "env:a%00b", "env:a\nb", "env:a?%zz",
		"env:" + strings.Repeat("x", 5000), "1password:x",
	} {
		_, err := Parse(text)
		require.Error(t, err, text)
		if len(text) > 8 {
			require.NotContains(t, err.Error(), text)
		}
	}
}

// A subject takes a place in a path, and cannot mean another one.
func TestSubjectOfAPath(t *testing.T) {
	ref, err := Parse("vault:database/creds/ro-{subject}")
	require.NoError(t, err)
	for subject, path := range map[string]string{"alice": "database/creds/ro-alice", "alice@example.com": "database/creds/ro-alice@example.com"} {
		r, err := ref.For(&proxy.Identity{Subject: subject})
		require.NoError(t, err)
		require.Equal(t, path, r.Path)
	}
	for _, subject := range []string{
		"", ".", "..", "../admin", "a/../b", "a..b", "a/b", `a\b`, "a%2fb", "a?x=1", "a#b", "a b", "a\n", "{subject}", "é", ".a", "a.", strings.Repeat("a", 200),
	} {
		_, err := ref.For(&proxy.Identity{Subject: subject})
		require.ErrorContains(t, err, "subject", subject)
	}
	_, err = ref.For(nil)
	require.ErrorContains(t, err, "the gateway itself")
}

type remote struct{ Env }

func (remote) Remote() {}

// References that read the gateway's own host are told from those that ask a service.
func TestLocal(t *testing.T) {
	s := Default()
	s["vault"] = remote{}
	s["own"] = Env{} // of the assembly: not known to be safe
	require.False(t, s.Local("vault:secret/app#p"))
	for _, ref := range []string{
		"env:X", "file:/etc/passwd", "exec:x", "own:x", "unknown:x", "", "hunter2", "FILE:/x", "file:///x", " file:/x", "VAULT:x", " vault:x", "vault", "vault:", "vault:a#b#c",
	} {
		require.True(t, s.Local(ref), ref)
	}
}

func TestBinding(t *testing.T) {
	b := Bind("vault:app#p", "DB.example.com.:5432", "app")
	require.NoError(t, b.Check("vault:app#p", "db.example.com:5432", "app"))
	require.NoError(t, Bind("x:y", "[::1]:5432", "a").Check("x:y", "[0:0::1]:5432", "a"))
	for _, c := range [][3]string{
		{"vault:app#p", "evil.example.com:5432", "app"},
		{"vault:app#p", "db.example.com:5433", "app"},
		{"vault:app#p", "db.example.com:5432", "postgres"},
		{"vault:other#p", "db.example.com:5432", "app"},
		{"vault:app#p", "unix:/tmp/db.example.com:5432", "app"},
		{"vault:app#p", "db.example.com", "app"},
		{"", "", ""},
	} {
		require.ErrorIs(t, b.Check(c[0], c[1], c[2]), ErrUnbound, c)
	}
	require.ErrorIs(t, Binding{}.Check("", "", ""), ErrUnbound, "what was never bound is not allowed")
}

func TestPick(t *testing.T) {
	const object = `{"user":"u","p.q":"dotted","db":{"pw":"inner\n","n":{"x":"deep"}},"n":5432,"b":true,"o":{},"e":"","z":null}`
	const lines = "# x\n\nexport A=1\nB = two words \nC='si$ngle'\nD=\"dou\\\"ble\\n\"\nE=\nF=\"open\nG=a=b#c\r\n"
	for _, c := range []struct {
		text, key, want string
		err             error
	}{
		{"whole\n", "", "whole", nil},
		{"two\n\n", "", "two\n", nil},
		{"dos\r\n", "", "dos", nil},
		{"-----BEGIN X\n", "", "-----BEGIN X\n", nil},
		{"\n", "", "", ErrEmpty},
		{"", "k", "", ErrNotFound},
		{"a\x00b", "", "", ErrType},
		{"\xff", "", "", ErrType},
		{strings.Repeat("x", MaxSecret+1), "", "", ErrTooLarge},
		{object, "p.q", "dotted", nil},
		{object, "db.pw", "inner\n", nil},
		{object, "db.n.x", "deep", nil},
		{object, "n", "5432", nil},
		{object, "b", "", ErrType},
		{object, "o", "", ErrType},
		{object, "z", "", ErrType},
		{object, "e", "", ErrEmpty},
		{object, "none", "", ErrNotFound},
		{object, "user.x", "", ErrType},
		{`{"a":`, "a", "", ErrType},
		{`{"a":"hunter2"`, "a", "", ErrType},
		{lines, "A", "1", nil},
		{lines, "B", "two words", nil},
		{lines, "C", "si$ngle", nil},
		{lines, "D", "dou\"ble\n", nil},
		{lines, "E", "", ErrEmpty},
		{lines, "F", "", ErrType},
		{lines, "G", "a=b#c", nil},
		{lines, "H", "", ErrNotFound},
	} {
		v, err := Pick([]byte(c.text), c.key)
		if c.err != nil {
			require.ErrorIs(t, err, c.err, c.key)
			require.NotContains(t, err.Error(), "hunter2")
			continue
		}
		require.NoError(t, err, c.key)
		require.Equal(t, c.want, v.Plain().Reveal())
	}
	t.Setenv("PAIR", `{"u":"app_clone","p":"hunter2"}`)
	l, err := lease("env:PAIR#p?user=u")
	require.NoError(t, err)
	require.Equal(t, "app_clone", l.Username)
	for _, ref := range []string{"env:PAIR#p?user=none", "env:PAIR#p?other=u", "env:PAIR#p?user=u&user=p"} {
		_, err = lease(ref)
		require.Error(t, err, ref)
	}
}
