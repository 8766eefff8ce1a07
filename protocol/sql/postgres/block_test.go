package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// A block does what its statements do, whichever of them run.
func TestBlocks(t *testing.T) {
	for text, effects := range map[string]string{
		"DO $$BEGIN DELETE FROM t; END$$":                                              "delete,do",
		"DO LANGUAGE plpgsql 'BEGIN EXECUTE ''DELETE FROM t''; END'":                   "delete,do",
		"DO $$BEGIN EXECUTE 'DROP ' || 'TABLE t'; END$$":                               "do,unknown",
		"DO $$BEGIN EXECUTE format('DROP TABLE %I', 't'); END$$":                       "do,unknown",
		"DO $$BEGIN EXECUTE 'DELETE FROM t WHERE id = 1'::varchar(13); END$$":          "do,unknown",
		"DO $$BEGIN EXECUTE 'DELETE FROM t WHERE id = $1' USING lo_import('x'); END$$": "read,delete,do,outside",
		"DO LANGUAGE plpython3u 'x'":                                                   "do,unknown",
		"DO LANGUAGE sql 'DELETE FROM t'":                                              "do,unknown",
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE mood AS ENUM ('a', 'b'); END IF; END $$":                                             "read,create,do",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;":                                                                                "create,do",
		"DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object OR sqlstate '42710' THEN RAISE NOTICE 'there: %', sqlerrm; WHEN others THEN DROP TABLE t; END $$;": "read,create,drop,do",
		"DO $$ BEGIN IF true THEN NULL; ELSIF pg_sleep(1) IS NULL THEN NULL; ELSE TRUNCATE t; END IF; END $$":                                                                           "read,truncate,do,outside",
		"DO $$ DECLARE n int := (SELECT count(*) FROM u); r record; BEGIN FOR r IN SELECT * FROM t LOOP UPDATE t SET x = n WHERE id = r.id; END LOOP; END $$":                           "read,update,do",
		"DO $$ DECLARE n int; BEGIN SELECT count(*) INTO STRICT n FROM t; IF n = 0 THEN INSERT INTO t VALUES (1); END IF; END $$":                                                       "read,insert,do",
		"DO $$ DECLARE a int; b int; BEGIN INSERT INTO t VALUES (1) RETURNING id, x INTO a, b; n := a + b; END $$":                                                                      "read,insert,do",
		"DO $$ BEGIN FOR i IN 1..10 LOOP INSERT INTO t VALUES (i); EXIT WHEN i = 5; END LOOP; END $$":                                                                                   "read,insert,do",
		"DO $$ BEGIN FOR i IN REVERSE 10..1 BY 2 LOOP PERFORM f(i); END LOOP; END $$":                                                                                                   "read,call,do",
		"DO $$ BEGIN WHILE (SELECT count(*) FROM t) > 0 LOOP DELETE FROM t WHERE id = 1; END LOOP; END $$":                                                                              "read,delete,do",
		"DO $$ BEGIN CASE WHEN true THEN NULL; ELSE DELETE FROM t; END CASE; END $$":                                                                                                    "read,delete,do",
		"DO $$ BEGIN IF CASE WHEN true THEN false ELSE true END THEN DELETE FROM t; END IF; END $$":                                                                                     "read,delete,do",
		"DO $$ <<outer>> DECLARE x int; BEGIN <<inner>> BEGIN DELETE FROM t; END inner; END outer $$":                                                                                   "delete,do",
		"DO $$ BEGIN RAISE NOTICE '%', (SELECT pg_read_file('x')); END $$":                                                                                                              "read,do,outside",
		"DO $$ BEGIN RAISE EXCEPTION 'x' USING hint = lo_import('x')::text, errcode = 'P0001'; END $$":                                                                                  "read,do,outside",
		"DO $$ BEGIN ASSERT (SELECT true), 'message'; GET DIAGNOSTICS n = ROW_COUNT; COMMIT; END $$":                                                                                    "read,transaction,do",
		"DO $$ BEGIN x[lo_import('x')] := 1; END $$":                                                                                                                                    "read,do,outside",
		"DO $$ BEGIN FOREACH x IN ARRAY ARRAY['a'] LOOP NULL; END LOOP; RETURN; END $$":                                                                                                 "read,do",
		"DO $$ BEGIN CREATE ROLE a; EXCEPTION WHEN duplicate_object THEN null; END $$":                                                                                                  "create,grant,do",
		"DO $$ BEGIN OPEN c FOR SELECT 1; END $$":                                                                                                                                       "do,unknown",
		"DO $$ #variable_conflict use_column\nBEGIN NULL; END $$":                                                                                                                       "do,unknown",
		"DO $$ BEGIN nonsense; END $$":                            "do,unknown",
		"DO $$ BEGIN NULL; $$":                                    "do,unknown",
		"DO $$ BEGIN NULL; END; DROP TABLE t $$":                  "do,unknown",
		"DO $$ BEGIN IF true THEN NULL; END $$":                   "do,unknown",
		"DO $$ BEGIN PERFORM 'a\\'; END $$":                       "do,unknown",
		"DO $$ BEGIN \"if\" := 1; END $$":                         "read,do",
		"DO $$ BEGIN NULL; -- DROP TABLE t; \n END $$":            "do",
		"DO $$ BEGIN /* ; */ PERFORM 'DROP TABLE t; END'; END $$": "read,do",
	} {
		f := analyze(t, text)
		require.True(t, f.Effects.Has(proxy.EffectUnknown), "what it leaves behind is not followed")
		if f.Block != nil {
			f = f.Block
		}
		if got := f.Effects.String(); got != effects && !(strings.HasSuffix(effects, "unknown") && strings.HasSuffix(got, "unknown")) {
			t.Errorf("%s\n got %s\nwant %s (%s)", text, got, effects, f.Unknown)
		}
	}
	// A variable is not a column.
	for text, every := range map[string]bool{
		"DO $$ DECLARE v int := 1; BEGIN DELETE FROM t WHERE v = 1; END $$":                                         true,
		"DO $$ DECLARE \"V\" int := 1; BEGIN DELETE FROM t WHERE \"V\" = 1; END $$":                                 true,
		"DO $$ BEGIN UPDATE t SET x = 1 WHERE found; END $$":                                                        true,
		"DO $$ DECLARE r record; BEGIN FOR r IN SELECT 1 AS id LOOP DELETE FROM t WHERE r.id = 1; END LOOP; END $$": true,
		"DO $$ BEGIN FOR i IN 1..2 LOOP DELETE FROM t WHERE i = 1; END LOOP; END $$":                                true,
		"DO $$ DECLARE v int := 1; BEGIN DELETE FROM t WHERE id = v; END $$":                                        false,
		"DO $$ BEGIN FOR i IN 1..2 LOOP DELETE FROM t WHERE id = i; END LOOP; DELETE FROM t WHERE i = 1; END $$":    false,
	} {
		f := analyze(t, text).Block
		require.NotNil(t, f, text)
		if f.Unfiltered != 0 != every || f.Unknown != "" {
			t.Errorf("%s: every row: want %t %s", text, every, f.Unknown)
		}
	}
	f := analyze(t, "SET x = 1; DO $$BEGIN NULL; END$$; DROP TABLE t")
	require.NotNil(t, f.Block)
	require.Equal(t, "drop,set,do", f.Block.Effects.String())
	require.False(t, f.Block.Lossless)
	require.Nil(t, analyze(t, "EXECUTE p; DO $$BEGIN NULL; END$$").Block)
}

// What names mean to a session stays known after a block that only reads, and makes,
// changes or drops objects that are not temporary.
func TestBlockRenames(t *testing.T) {
	for text, want := range map[string][]proxy.NameChange{
		"DO 'BEGIN CREATE TYPE public.mood AS ENUM (''a''); EXCEPTION WHEN duplicate_object THEN null; END'":            {{Kind: proxy.NameObject}},
		"DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'm') THEN CREATE TABLE t (a int); END IF; END$$": {{Kind: proxy.NameObject}},
		"DO $$BEGIN EXECUTE 'ALTER TABLE t ADD COLUMN a int'; END$$":                                                    {{Kind: proxy.NameObject}},
		"DO $$BEGIN IF (SELECT count(*) FROM t) > 5 THEN RAISE NOTICE 'many'; END IF; END$$":                            {},
		"DO $$BEGIN CREATE TEMP TABLE t (a int); END$$":                                                                 {anyName},
		"DO $$BEGIN CREATE TABLE t AS SELECT * FROM u; END$$":                                                           {anyName},
		"DO $$BEGIN INSERT INTO t SELECT * FROM u; END$$":                                                               {anyName},
		"DO $$BEGIN SET search_path = x; END$$":                                                                         {anyName},
		"DO $$BEGIN PERFORM set_config('search_path', 'x', false); END$$":                                               {anyName},
		"DO $$BEGIN PERFORM f(1); END$$":                                                                                {anyName},
		"DO $$BEGIN EXECUTE 'SET ' || 'search_path = x'; END$$":                                                         {anyName},
		"DO $$BEGIN EXECUTE 'SET ROLE bob'; END$$":                                                                      {anyName},
		"DO $$BEGIN COMMIT; END$$":                                                                                      {anyName},
		"DO LANGUAGE plpython3u 'x'":                                                                                    {anyName},
		"DO $$BEGIN CREATE TYPE m AS ENUM ('a'); END$$; SET search_path = x":                                            {{Kind: proxy.NameObject}, {Kind: proxy.NamePath, Value: "x"}},
	} {
		require.Equal(t, want, append([]proxy.NameChange{}, sql.Renames(analyze(t, text))...), text)
	}
}
