package sql

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlainPath(t *testing.T) {
	for list, want := range map[string]bool{
		"public": true, "a, b": true, "a,b ,  c_1$": true, "$user, public": true, "pg_catalog": true,
		"": false, "a,": false, ",": false, "A": false, `"a"`: false, `"$user"`: false, "a b": false, "1a": false, "$a": false, "a;b": false, "a'": false, "ä": false,
		"pg_temp": false, "a, pg_temp_3": false, "pg_toast": false,
	} {
		require.Equal(t, want, PlainPath(list), list)
	}
}

func TestSnapshotOn(t *testing.T) {
	in := func(schema, name string) *Relation {
		return &Relation{OID: uint32(len(schema) + len(name)), Schema: schema, Name: name}
	}
	s := NewSnapshot(Contents{
		Path: []string{"pg_catalog", "public"}, Role: "app", Schemas: []string{"a", "app", "b", "pg_catalog", "public"},
		Relations: []*Relation{in("public", "x"), in("a", "x"), in("b", "x"), in("shut", "x"), in("app", "y"), in("pg_catalog", "pg_class"), in("b", "pg_class")},
	})
	s.ID = 7
	require.Same(t, s, s.On(""))
	require.Nil(t, (*Snapshot)(nil).On("a"))
	seen := map[uint64]string{s.ID: ""}
	for _, c := range []struct{ path, name, want string }{
		{"a, b", "x", "a"},
		{"b,a", "x", "b"},
		{"nowhere, shut, b", "x", "b"}, // not there, and not to be used by the role
		{"$user", "y", "app"},
		{"a, b", "y", ""},
		{"b, a", "pg_class", "pg_catalog"},
		{"b, pg_catalog", "pg_class", "b"},
		{"pg_catalog", "x", ""},
	} {
		v := s.On(c.path)
		require.Same(t, v, s.On(c.path))
		schema := ""
		if r := v.Relation("", c.name); r != nil {
			schema = r.Schema
		}
		require.Equal(t, c.want, schema, "%s in %s", c.name, c.path)
		other, known := seen[v.ID]
		require.True(t, !known || other == c.path, "%s and %s", c.path, other)
		seen[v.ID] = c.path
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { s.On("a, b") }))
	for i := range 2 * maxPaths {
		s.On(fmt.Sprint("s", i))
	}
	require.Nil(t, s.On("one_more"))
	require.NotNil(t, s.On("a, b"))
}
