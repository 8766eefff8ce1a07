package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// destroying and sparing are statements by whether they lose data. Those after
// a line that begins with # need the catalog to be seen as sparing.
const (
	destroying = `
DROP TABLE t
DROP TABLE IF EXISTS nope, t
DROP TABLE public.t CASCADE
DROP MATERIALIZED VIEW m
DROP SEQUENCE s
DROP SCHEMA public
DROP SCHEMA IF EXISTS nope, public CASCADE
DROP DATABASE IF EXISTS d
DROP TABLESPACE d
DROP OWNED BY app
DROP EXTENSION hstore CASCADE
DROP TYPE mood CASCADE
DROP DOMAIN d CASCADE
DROP VIEW v CASCADE
DROP FUNCTION f(int) CASCADE
TRUNCATE t
TRUNCATE pg_temp.a, t
ALTER TABLE t DROP COLUMN x
ALTER TABLE t DROP x
ALTER TABLE t DROP COLUMN IF EXISTS x CASCADE
ALTER TABLE IF EXISTS t DROP COLUMN IF EXISTS nope, DROP COLUMN x
ALTER TABLE t ADD COLUMN y int, DROP CONSTRAINT c, DROP COLUMN x
ALTER TABLE t ALTER COLUMN n TYPE text USING 'gone'
ALTER TABLE t ALTER n SET DATA TYPE text USING NULL
ALTER TABLE t ALTER COLUMN n TYPE timestamptz USING now()
ALTER TABLE t ALTER COLUMN n TYPE text USING (x)::text
ALTER TABLE t ALTER COLUMN n TYPE text USING CASE WHEN false THEN n ELSE '' END
ALTER TABLE t ALTER COLUMN n TYPE text USING CASE WHEN true THEN '' ELSE n END
ALTER TABLE t ALTER COLUMN n TYPE text USING CASE WHEN 1 = 2 THEN n END
ALTER TABLE t ALTER COLUMN n TYPE text USING coalesce('gone', n)
ALTER TABLE t ALTER COLUMN n TYPE text USING nullif(n, n)
ALTER TABLE t ALTER COLUMN n TYPE text USING left(n, 0)
ALTER TABLE t ALTER COLUMN n TYPE text USING substr(n, 1, 0)
ALTER TABLE t ALTER COLUMN x TYPE bigint USING x * 0
ALTER TABLE t ALTER COLUMN x TYPE bigint USING x - x
ALTER TABLE t ALTER COLUMN x TYPE bigint, ALTER COLUMN n TYPE text USING 'gone'
ALTER FOREIGN TABLE t DROP COLUMN x
ALTER TYPE pair DROP ATTRIBUTE a
ALTER TYPE pair DROP ATTRIBUTE IF EXISTS a CASCADE
EXPLAIN ANALYZE CREATE TABLE z AS SELECT 1; DROP TABLE t
SELECT 1; DROP INDEX i; TRUNCATE t
DROP TABLE IF EXISTS elsewhere
DROP SCHEMA app
`
	sparing = `
DROP INDEX i
DROP INDEX CONCURRENTLY IF EXISTS i
DROP INDEX i CASCADE
DROP TRIGGER g ON t
DROP TRIGGER IF EXISTS g ON t CASCADE
DROP RULE r ON t
DROP VIEW v
DROP VIEW IF EXISTS public.v, w
DROP FUNCTION f(int)
DROP PROCEDURE IF EXISTS p
DROP AGGREGATE a(int)
DROP OPERATOR @@@ (NONE, int)
DROP TYPE IF EXISTS mood
DROP DOMAIN d RESTRICT
DROP CAST (text AS int)
DROP COLLATION c
DROP STATISTICS s
DROP TEXT SEARCH CONFIGURATION c
DROP FOREIGN TABLE ft
DROP TABLE pg_temp.a
DROP TABLE IF EXISTS pg_temp.a, pg_temp.b CASCADE
TRUNCATE pg_temp.a
ALTER TABLE pg_temp.a DROP COLUMN x
ALTER TABLE t DROP CONSTRAINT c
ALTER TABLE ONLY t DROP CONSTRAINT IF EXISTS c CASCADE
ALTER TABLE t ALTER COLUMN n DROP DEFAULT, ALTER COLUMN n DROP NOT NULL, DROP CONSTRAINT c
ALTER TABLE t ALTER COLUMN x DROP IDENTITY IF EXISTS
ALTER TABLE t ALTER COLUMN x DROP EXPRESSION
ALTER TABLE t ALTER COLUMN n TYPE text
ALTER TABLE t ALTER COLUMN n TYPE int USING n::int
ALTER TABLE t ALTER COLUMN n TYPE int USING nullif(n, '')::int
ALTER TABLE t ALTER COLUMN n TYPE bool USING n = 'yes'
ALTER TABLE t ALTER COLUMN n TYPE bool USING CASE WHEN n = 'yes' THEN true ELSE false END
ALTER TABLE t ALTER COLUMN n TYPE int USING CASE n WHEN 'a' THEN 1 ELSE 2 END
ALTER TABLE t ALTER COLUMN n TYPE mood USING n::text::mood
ALTER TABLE t ALTER COLUMN n TYPE jsonb USING to_jsonb(t.n)
ALTER TABLE t ALTER COLUMN n TYPE text USING coalesce(n, '')
ALTER TABLE t ALTER COLUMN x TYPE bigint USING x * 1000
ALTER TABLE t DISABLE TRIGGER g
ALTER TABLE t DETACH PARTITION t1
ALTER TABLE t ATTACH PARTITION t1 FOR VALUES IN (1)
ALTER TABLE t SET UNLOGGED
ALTER TABLE t RENAME TO u
ALTER TYPE pair ADD ATTRIBUTE a int
ALTER TYPE mood ADD VALUE 'x'
ALTER DOMAIN d DROP CONSTRAINT c
CREATE OR REPLACE VIEW v AS SELECT 1
REFRESH MATERIALIZED VIEW m WITH NO DATA
SELECT 1
DROP INDEX i; DROP VIEW v
# with the catalog
DROP TABLE IF EXISTS nope
DROP TABLE nope
DROP TABLE IF EXISTS nope, app.nope CASCADE
DROP VIEW IF EXISTS nope CASCADE
DROP MATERIALIZED VIEW IF EXISTS nope
DROP SEQUENCE IF EXISTS nope
DROP SCHEMA IF EXISTS nope CASCADE
TRUNCATE nope
ALTER TABLE IF EXISTS nope DROP COLUMN x
ALTER TABLE t DROP COLUMN IF EXISTS nope
DROP TABLE IF EXISTS nope; DROP TABLE IF EXISTS nope2
`
)

func TestLoss(t *testing.T) {
	plain, withCatalog := New(Config{}), New(Config{Catalog: &fixedCatalog{snapshot: narrowingCatalog()}})
	loses := func(a *Analyzer, text string) bool {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		require.False(t, f.Effects.Has(proxy.EffectUnknown), "%s: %s", text, f.Unknown)
		return f.Effects.Has(proxy.EffectDrop|proxy.EffectTruncate) && !f.Lossless
	}
	for text := range strings.Lines(strings.TrimSpace(destroying)) {
		if !loses(plain, text) || !loses(withCatalog, text) {
			t.Errorf("it loses data: %s", text)
		}
	}
	needs := false
	for text := range strings.Lines(strings.TrimSpace(sparing)) {
		if needs = needs || strings.HasPrefix(text, "#"); strings.HasPrefix(text, "#") {
			continue
		}
		if loses(withCatalog, text) || loses(plain, text) != needs {
			t.Errorf("it loses nothing: %s", text)
		}
	}
}

// losing are statements, each with what it takes data away by.
const losing = `
DROP TABLE t → t
DROP TABLE IF EXISTS public.t, "App".nope CASCADE → public.t dependents, App.nope dependents
DROP TABLE pg_temp.a, t → t
DROP TABLE pg_temp.a →
DROP MATERIALIZED VIEW m → m
DROP VIEW v →
DROP VIEW v CASCADE → view v dependents
DROP SCHEMA app CASCADE → schema app dependents
DROP TYPE app.mood CASCADE → type app.mood dependents
DROP DOMAIN d CASCADE → type d dependents
DROP FUNCTION app.f(int), g CASCADE → function app.f dependents, function g dependents
DROP FUNCTION f →
DROP SEQUENCE s →
DROP EXTENSION hstore → extension hstore dependents
DROP DATABASE d →
DROP OWNED BY app →
TRUNCATE t, app.u CASCADE → t referring, app.u referring
TRUNCATE ONLY t RESTART IDENTITY → t
ALTER TABLE t DROP COLUMN x, ADD COLUMN y int → t
ALTER TABLE app.t DROP x CASCADE → app.t dependents
ALTER TABLE t DROP CONSTRAINT c →
ALTER TABLE t ALTER n TYPE text USING 'gone' → t
ALTER TABLE t ALTER n TYPE text USING lower(n) →
ALTER FOREIGN TABLE t DROP COLUMN x →
ALTER TYPE pair DROP ATTRIBUTE a →
SELECT query_to_xml('DROP TABLE t', true, true, '') →
DO $$BEGIN DROP TABLE t; END$$ →
DROP TABLE t; DROP TABLE u → t, u
BEGIN; DROP INDEX i; CREATE TABLE w (id int); TRUNCATE t; COMMIT → t
INSERT INTO t VALUES (1); DROP TABLE t →
DROP TABLE t; INSERT INTO u VALUES (1) → t
SET search_path = app; DROP TABLE t →
SET statement_timeout = 0; DROP TABLE t → t
COMMIT; DROP TABLE t →
ALTER TABLE u RENAME TO t; DROP TABLE t →
CREATE TABLE w (t int REFERENCES t); TRUNCATE t CASCADE →
SELECT f(1); DROP TABLE t →
CREATE TABLE t AS SELECT 1; DROP TABLE t →
DROP TABLE t; DROP SEQUENCE s →
`

func TestLosing(t *testing.T) {
	kinds := map[proxy.LossKind]string{proxy.LossTable: "", proxy.LossView: "view ", proxy.LossSchema: "schema ", proxy.LossType: "type ", proxy.LossFunction: "function ", proxy.LossExtension: "extension "}
	a := New(Config{})
	for line := range strings.Lines(strings.TrimSpace(losing)) {
		text, want, found := strings.Cut(strings.TrimSuffix(line, "\n"), " →")
		require.True(t, found, line)
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		var got []string
		for _, l := range f.Losing {
			s := kinds[l.Kind] + l.Name
			if l.Schema != "" {
				s = kinds[l.Kind] + l.Schema + "." + l.Name
			}
			if l.Dependents {
				s += " dependents"
			}
			if l.Referring {
				s += " referring"
			}
			got = append(got, s)
		}
		require.Equal(t, strings.TrimSpace(want), strings.Join(got, ", "), text)
	}
}
