package masking_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

const requiredSchema = `
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN cents AS int8;
CREATE TABLE r (id int PRIMARY KEY, i2 int2 NOT NULL, i4 int4 NOT NULL, i8 int8 NOT NULL, n numeric(9,2) NOT NULL, f4 float4 NOT NULL, f8 float8 NOT NULL, d date NOT NULL,
 ts timestamp NOT NULL, tz timestamptz NOT NULL, t time NOT NULL, iv interval NOT NULL, u uuid NOT NULL, ip inet NOT NULL, net cidr NOT NULL, mac macaddr NOT NULL,
 b bytea NOT NULL, j json NOT NULL, jb jsonb NOT NULL, a int8[] NOT NULL, at text[] NOT NULL, rg daterange NOT NULL, c cents NOT NULL, m mood NOT NULL, o bool NOT NULL, free int8);
INSERT INTO r SELECT 1, 12, 1234, 123456, 99.5, 1.5, 2.5, '1980-02-03', '1980-02-03 04:05', '1980-02-03 04:05+02', '04:05', '3 days', gen_random_uuid(), '203.0.113.9', '203.0.113.0/24',
 '08:00:2b:01:02:03', '\x00ff', '{"a":1}', '{"b":2}', '{12345678}', '{x,y}', '[1980-01-01,1990-01-01)', 42, 'sad', true, 7;
CREATE VIEW rv AS SELECT id, i8 AS k, d AS born, jb FROM r;`

// What cannot be masked in its type is NULL, but of a column that is declared NOT NULL a
// neutral value, in both formats: programs scan it into what holds no NULL.
func TestRequiredColumnsStayFilled(t *testing.T) {
	g := startRig(t, requiredSchema, masking.Config{Rules: []masking.Rule{{Name: "r", Columns: []string{
		"r.i*", "r.n*", "r.f*", "r.d", "r.t*", "r.u", "r.mac", "r.b", "r.j*", "r.a*", "r.rg", "r.c", "r.m", "r.o",
	}}, {}}})
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
		c := g.connect(t, "alice")
		var i2 int16
		var i4 int32
		var i8, cents int64
		var n, iv string
		var f4 float32
		var f8 float64
		var d, ts, tz time.Time
		var clock pgtype.Time
		var u, ip, net, mac string
		var b []byte
		var j, jb map[string]any
		var a []int64
		var at []string
		var rg pgtype.Range[pgtype.Date]
		row := c.QueryRow(t.Context(), "SELECT i2, i4, i8, n, f4, f8, d, ts, tz, t, iv::text, u::text, ip::text, net::text, mac::text, b, j, jb, a, at, rg, c FROM r", mode)
		// Casts to text are computed, so they are starred: they are text.
		require.NoError(t, row.Scan(&i2, &i4, &i8, &n, &f4, &f8, &d, &ts, &tz, &clock, &iv, &u, &ip, &net, &mac, &b, &j, &jb, &a, &at, &rg, &cents), mode)
		require.Zero(t, i2)
		require.Zero(t, i4)
		require.Zero(t, i8)
		require.Equal(t, "0", n)
		require.Zero(t, f4)
		require.Zero(t, f8)
		for _, at := range []time.Time{d, ts, tz} {
			require.Equal(t, "1700-01-01", at.UTC().Format(time.DateOnly))
		}
		require.Zero(t, clock.Microseconds)
		require.Empty(t, b)
		require.Empty(t, j)
		require.Empty(t, jb)
		require.Empty(t, a)
		require.Equal(t, pgtype.Empty, rg.LowerType)
		require.Zero(t, cents)
		for _, v := range []string{iv, u, ip, net, mac} {
			require.Regexp(t, `^[-*/ :.]+$`, v)
		}

		var k int64
		require.NoError(t, c.QueryRow(t.Context(), "SELECT k, born, jb FROM (SELECT * FROM rv) x", mode).Scan(&k, &d, &jb), "through a view and a query")
		require.Zero(t, k)
		require.Equal(t, "1700-01-01", d.Format(time.DateOnly))
		var flag *bool
		require.NoError(t, c.QueryRow(t.Context(), "SELECT o FROM r", mode).Scan(&flag))
		require.Nil(t, flag, "each of its values is a real one")
	}
	require.Equal(t, "00000000-0000-0000-0000-000000000000|0.0.0.0|0.0.0.0/32|00:00:00:00:00:00|00:00:00\n", g.psql(t, "alice", "SELECT u, ip, net, mac, iv FROM r", "-A", "-t"))
	require.Equal(t, "0\t0\t1700-01-01\t{}\n", g.psql(t, "alice", "COPY r (i4, n, d, a) TO STDOUT", "-A", "-t"))
}

// A rule that asks for NULL gets it, and a column that may be NULL shows that.
func TestNullWhereARuleSaysSo(t *testing.T) {
	g := startRig(t, "CREATE TABLE r (id int, a int8 NOT NULL, b int8, c int8 NOT NULL); INSERT INTO r VALUES (1, 12345, 23456, 4111111111111111)",
		masking.Config{Rules: []masking.Rule{{Columns: []string{"r.a"}, With: masking.Null}, {Columns: []string{"r.b"}}, {}}})
	require.Equal(t, "~|~|0\n", g.psql(t, "alice", "SELECT a, b, c FROM r", "-A", "-t", "-P", "null=~"))
}

// A neutral value is not written over a real one, and may begin a new row.
func TestNeutralValuesAreNotWrittenBack(t *testing.T) {
	g := startRig(t, requiredSchema, masking.Config{Rules: []masking.Rule{{Columns: []string{"r.i4", "r.n", "r.d", "r.tz", "r.jb", "r.u", "r.free"}}}})
	for _, set := range []string{
		"i4 = 0", "i4 = '0'", "n = 0.00", "d = '1700-01-01'", "tz = '1700-01-01 00:00:00+00'", "tz = '1699-12-31 19:00:00-05'", "jb = '{}'", "u = '00000000-0000-0000-0000-000000000000'",
	} {
		out := g.psql(t, "alice", "UPDATE r SET "+set+" WHERE id = 1", "-q")
		require.Contains(t, out, "in the place of its values", set)
	}
	require.Contains(t, g.psql(t, "alice", "UPDATE r SET free = NULL WHERE id = 1"), "shown to you as NULL")
	for _, set := range []string{"i4 = 5", "n = 0.5", "d = '1980-01-01'", "jb = '{\"a\":1}'", "free = 0", "i8 = 0", "f8 = 0"} {
		require.Contains(t, g.psql(t, "alice", "UPDATE r SET "+set+" WHERE id = 1"), "UPDATE 1", set)
	}
	c := g.connect(t, "alice")
	_, err := c.Exec(t.Context(), "UPDATE r SET i4 = $1 WHERE id = 1", 0)
	require.ErrorContains(t, err, "in the place of its values")
}
